"""Chat templates for tests: escapes in many spellings, and idioms of honest templates.

Each escape prints a class, a function or a module of Python in a plain environment, which the test
proves by rendering it. Each honest idiom is rendered with plain data.
"""

__all__ = ["DATA", "ESCAPES", "HONEST", "HOSTILE", "REFUSED_BY_NAME", "UNDECIDED"]

ESCAPES = {
    # As texts of a subscript.
    "plain": "{{ ''.__class__ }}",
    "subscript": "{{ ''['__class__'] }}",
    "hex": r"{{ ''['\x5f\x5fclass\x5f\x5f'] }}",
    "unicode": r"{{ ''['\u005f\u005fclass\u005f\u005f'] }}",
    "octal": r"{{ ''['\137\137class\137\137'] }}",
    "named escape": r"{{ ''['\N{LOW LINE}_class__'] }}",
    "tilde": "{{ ''['__cl' ~ 'ass__'] }}",
    "tilde of numbers": "{{ ''['_' ~ '_class_' ~ '_'] }}",
    "plus": "{{ ''['__cla' + 'ss__'] }}",
    "adjacent": "{{ ''['__cla' 'ss__'] }}",
    "times": "{{ ''['_' * 2 + 'class' + '_' * 2] }}",
    "percent": "{{ ''['%sclass%s' % ('__', '__')] }}",
    "percent of a dict": "{{ ''['%(u)sclass%(u)s' % {'u': '__'}] }}",
    "percent of letters": "{{ ''['%c%cclass%c%c' % (95, 95, 95, 95)] }}",
    "reversed": "{{ ''['__ssalc__'[::-1]] }}",
    "a step": "{{ ''['_-_-c-l-a-s-s-_-_'[::2]] }}",
    "a slice": "{{ ''['xx__class__xx'[2:-2]] }}",
    "letters": "{{ ''['_c'[0] ~ '_c'[0] ~ 'c' ~ 'lass' ~ '_c'[0] * 2] }}",
    "conditional": "{{ ''['__class__' if messages else 'x'] }}",
    "other arm": "{{ ''['x' if not messages else '__class__'] }}",
    "or": "{{ ''[nothing or '__class__'] }}",
    "and": "{{ ''[messages and '__class__'] }}",
    "of a list": "{{ ''[['role', '__class__'][1]] }}",
    "of a list by a number of data": "{{ ''[['role', '__class__'][messages|length]] }}",
    "of a dict": "{{ ''[{'k': '__class__'}['k']] }}",
    "of a dict by dot": "{{ ''[{'k': '__class__'}.k] }}",
    "of a dict by data": "{{ ''[{'user': '__class__'}[messages[0].role]] }}",
    "get of a dict": "{{ ''[{}.get('x', '__class__')] }}",
    "pop of a list": "{{ ''[['__class__'].pop()] }}",
    # Through filters.
    "join": "{{ ''[['__cla', 'ss__']|join] }}",
    "join with": "{{ ''[['', 'class', '']|join('__')] }}",
    "reverse": "{{ ''['__ssalc__'|reverse] }}",
    "reverse a list": "{{ ''[['ss__', '__cla']|reverse|join] }}",
    "format": "{{ ''['%c%cclass%c%c'|format(95, 95, 95, 95)] }}",
    "format by name": "{{ ''['%(a)sclass%(a)s'|format(a='__')] }}",
    "replace": "{{ ''['--class--'|replace('-', '_')] }}",
    "replace a word": "{{ ''['user'|replace('user', '__class__')] }}",
    "lower": "{{ ''['__CLASS__'|lower] }}",
    "upper and lower": "{{ ''['__Class__'|upper|lower] }}",
    "capitalize": "{{ ''['__CLASS__'|capitalize] }}",
    "title and lower": "{{ ''['__class__'|title|lower] }}",
    "trim": "{{ ''['  __class__ '|trim] }}",
    "trim letters": "{{ ''['xx__class__xx'|trim('x')] }}",
    "center": "{{ ''[('__class__'|center(21))|trim] }}",
    "list": "{{ ''['__class__'|list|join] }}",
    "first": "{{ ''[['__class__', 'a']|first] }}",
    "last": "{{ ''[['a', '__class__']|last] }}",
    "random": "{{ ''[['__class__']|random] }}",
    "max": "{{ ''[['__class__', '0']|max] }}",
    "min": "{{ ''[['__class__', 'a']|min] }}",
    "sum of lists": "{{ ''[([['__cla'], ['ss__']]|sum(start=[]))|join] }}",
    "batch": "{{ ''[('__class__'|batch(9)|first)|join] }}",
    "slice": "{{ ''[(['__class__']|slice(1)|first)[0]] }}",
    "unique": "{{ ''[['__class__', '__class__']|unique|first] }}",
    "sort": "{{ ''[['b', '__class__']|sort|last] if false else ''[['__class__']|sort|first] }}",
    "select": "{{ ''[['__class__', '']|select|first] }}",
    "reject": "{{ ''[['_', '_', '-', 'class', '__']|reject('eq', '-')|join] }}",
    "map": "{{ ''[['__CLA', 'SS__']|map('lower')|join] }}",
    "map replace": "{{ ''[['--class--']|map('replace', '-', '_')|first] }}",
    "string": "{{ ''['__class__'|string] }}",
    "safe": "{{ ''['__class__'|safe] }}",
    "escape": "{{ ''['__class__'|e] }}",
    "safe in parts": "{{ ''[('__cla'|safe) ~ ('ss__'|e)] }}",
    "default": "{{ ''[nothing|default('__class__')] }}",
    "default of empty": "{{ ''[''|default('__class__', true)] }}",
    "dictsort": "{{ ''[({'__class__': 1}|dictsort|first)[0]] }}",
    "items": "{{ ''[({'__class__': 1}|items|first)[0]] }}",
    "tojson": "{{ ''[('__class__'|tojson)[1:-1]] }}",
    "urlencode": "{{ ''['__class__'|urlencode] }}",
    "striptags": "{{ ''['<b>__class__</b>'|striptags] }}",
    "truncate": "{{ ''['__class__xxxxxxxx'|truncate(9, true, '', 0)] }}",
    "wordwrap": "{{ ''[('__cla ss__'|wordwrap(5))|replace('\n', '')] }}",
    "indent": "{{ ''['__class__'|indent(4)] }}",
    "pprint": "{{ ''[('__class__'|pprint)[1:-1]] }}",
    "groupby": "{{ ''[(['__class__']|groupby('x')|first).list[0]] }}",
    "filter block": "{% set k %}{% filter lower %}__CLASS__{% endfilter %}{% endset %}{{ ''[k] }}",
    "spread arguments": "{{ ''|attr(*['__class__']) }}",
    "spread keywords": "{{ ['']|map(**{'attribute': '__class__'})|list }}",
    # Names that filters take attributes by.
    "attr": "{{ ''|attr('__class__') }}",
    "attr in parts": "{{ ''|attr('__cla' ~ 'ss__') }}",
    "attr by keyword": "{{ ''|attr(name='__class__') }}",
    "map attribute": "{{ ['']|map(attribute='__class__')|list }}",
    "map a path": "{{ [['']]|map(attribute='0.__class__')|list }}",
    "map attr": "{{ ['']|map('attr', '__class__')|list }}",
    "map attr in parts": "{{ ['']|map('at' ~ 'tr', '__class__')|list }}",
    "map attr of a variable": "{% set f = 'attr' %}{{ ['']|map(f, '__class__')|list }}",
    "sort by": "{{ ['']|sort(attribute='__class__.__name__') }}{{ ''.__class__ }}",
    # Methods of texts.
    "method format": "{{ ''['{}class{}'.format('__', '__')] }}",
    "method format by name": "{{ ''['{u}class{u}'.format(u='__')] }}",
    "method format letters": "{{ ''['{0:c}{0:c}class{0:c}{0:c}'.format(95)] }}",
    "method format attribute": "{{ '{0.__class__}'.format('') }}",
    "method format item": "{{ '{0[0].__class__}'.format(['']) }}",
    "method format_map": "{{ '{a.__class__}'.format_map({'a': ''}) }}",
    "method format in parts": "{{ ('{0.__cla' ~ 'ss__}').format('') }}",
    "method format alias": "{% set f = '{0.__class__}'.format %}{{ f('') }}",
    "method format subscript": "{{ '{0.__class__}'['format']('') }}",
    "method join": "{{ ''['__'.join(['', 'class', ''])] }}",
    "method join by subscript": "{{ ''[''['join'](['__cla', 'ss__'])] }}",
    "method replace": "{{ ''['::class::'.replace(':', '_')] }}",
    "method lower": "{{ ''['__CLASS__'.lower()] }}",
    "method swapcase": "{{ ''['__CLASS__'.swapcase()] }}",
    "method strip": "{{ ''[' __class__ '.strip()] }}",
    "method rjust": "{{ ''['class__'.rjust(9, '_')] }}",
    "method zfill": "{{ ''['__class__'.zfill(3)] }}",
    "method translate": "{{ ''['..class..'.translate({46: '_'})] }}",
    "method maketrans": "{{ ''['..class..'.translate(''.maketrans('.', '_'))] }}",
    "method split": "{{ ''['a,__class__'.split(',')[1]] }}",
    "method rsplit": "{{ ''['a,__class__'.rsplit(',', 1)|last] }}",
    "method partition": "{{ ''['a=__class__'.partition('=')[2]] }}",
    "method removeprefix": "{{ ''['x__class__'.removeprefix('x')] }}",
    "method encode": "{{ ''['__class__'.encode().decode()] }}",
    "method decode utf-16": "{{ ''['__class__'.encode('utf-16').decode('utf-16')] }}",
    "method decode unicode": r"{{ ''['\\x5f\\x5fclass\\x5f\\x5f'.encode().decode('unicode_escape')] }}",
    "method fromhex": "{{ ''[''.encode().fromhex('5f5f636c6173735f5f').decode()] }}",
    "method to_bytes": "{{ ''[(95).to_bytes(1, 'big').decode() * 2 ~ 'class__'] }}",
    "method expandtabs": r"{{ ''['__class__\t'.expandtabs(1)|trim] }}",
    "method casefold": "{{ ''['__CLASS__'.casefold()] }}",
    "method of a method": "{{ ''[''.join('__class__'.split(','))] }}",
    # Variables, blocks and scopes.
    "set": "{% set k = '__class__' %}{{ ''[k] }}",
    "set in parts": "{% set a = '__cla' %}{% set k = a ~ 'ss__' %}{{ ''[k] }}",
    "set a tuple": "{% set a, b = '__cla', 'ss__' %}{{ ''[a ~ b] }}",
    "set a block": "{% set k %}__class__{% endset %}{{ ''[k] }}",
    "set a block with a filter": "{% set k | replace('-', '_') %}--class--{% endset %}{{ ''[k] }}",
    "set a block over lines": "{% set k %}{% if true %}__cla{% endif %}ss__{% endset %}{{ ''[k] }}",
    "set a block with expressions": "{% set k %}__{{ 'cla' }}ss{{ '__' }}{% endset %}{{ ''[k] }}",
    "set in a branch": "{% if messages %}{% set k = '__class__' %}{% else %}{% set k = 'x' %}"
    "{% endif %}{{ ''[k] }}",
    "set before a branch": "{% set k = '__class__' %}{% if nothing %}{% set k = 'x' %}{% endif %}"
    "{{ ''[k] }}",
    "with": "{% with k = '__class__' %}{{ ''[k] }}{% endwith %}",
    "for over a list": "{% for k in ['__class__'] %}{{ ''[k] }}{% endfor %}",
    "for over a dict": "{% for k in {'__class__': 1} %}{{ ''[k] }}{% endfor %}",
    "for over items": "{% for a, k in {'a': '__class__'}.items() %}{{ ''[k] }}{% endfor %}",
    "for over values": "{% for k in {'a': '__class__'}.values() %}{{ ''[k] }}{% endfor %}",
    "for with a test": "{% for k in ['a', '__class__'] if k != 'a' %}{{ ''[k] }}{% endfor %}",
    "for over a union": "{% for k in (tools or ['__class__']) %}{{ ''[k] }}{% endfor %}",
    "for else": "{% for k in [] %}{% else %}{{ ''['__cla' ~ 'ss__'] }}{% endfor %}",
    "recursive for": "{% for k in [['__class__']] recursive %}{% if k is string %}{{ ''[k] }}"
    "{% else %}{{ loop(k) }}{% endif %}{% endfor %}",
    "previtem": "{% for k in ['__class__', 'a'] %}{% if loop.previtem %}{{ ''[loop.previtem] }}"
    "{% endif %}{% endfor %}",
    "cycle": "{% for k in [1] %}{{ ''[loop.cycle('__class__')] }}{% endfor %}",
    "letters into a namespace": "{% set ns = namespace(s='') %}{% for c in '__ssalc__'[::-1] %}"
    "{% set ns.s = ns.s ~ c %}{% endfor %}{{ ''[ns.s] }}",
    "letters by a range": "{% set ns = namespace(s='') %}{% for i in range(9) %}"
    "{% set ns.s = ns.s ~ '_c_las'[[0, 2, 1][0] if i in (0, 1, 7, 8) else [1, 3, 4, 5, 5][i - 2]]"
    " %}{% endfor %}{{ ''[ns.s] }}",
    "letters under conditions": "{% set ns = namespace(s='') %}{% for c in '__xclass__' %}"
    "{% if c != 'x' %}{% set ns.s = ns.s + c %}{% endif %}{% endfor %}{{ ''[ns.s] }}",
    "break after a while": "{% set ns = namespace(k='__class__') %}{% for c in 'ab' %}"
    "{% if messages %}{% break %}{% endif %}{% set ns.k = 'role' %}{% endfor %}{{ ''[ns.k] }}",
    "a loop over data": "{% set ns = namespace(k='x') %}{% for m in messages %}{{ ''[ns.k] }}"
    "{% set ns.k = '__class__' %}{% endfor %}{{ ''[ns.k] }}",
    "a loop over data, in parts": "{% set ns = namespace(k='') %}{% for m in messages + messages %}"
    "{% set ns.k = ns.k ~ ('__cla' if loop.first else 'ss__') %}{% endfor %}{{ ''[ns.k] }}",
    "namespace": "{{ ''[namespace(x='__class__').x] }}",
    "namespace by subscript": "{{ ''[namespace(x='__class__')['x']] }}",
    "namespace of a dict": "{{ ''[namespace({'x': '__class__'}).x] }}",
    "keyword name": "{{ ''[dict(__class__=1)|list|first] }}",
    "keyword name, other letters": "{{ ''[dict(__\uff43lass__=1)|list|first] }}",
    "keyword name of a loop": "{% for k in dict(__class__=1) %}{{ ''[k] }}{% endfor %}",
    "appended": "{% set l = [] %}{% do l.append('__cla') %}{% do l.append('ss__') %}"
    "{{ ''[l|join] }}",
    "appended in a branch": "{% set l = [] %}{% if messages %}{% do l.append('__class__') %}"
    "{% endif %}{{ ''[l[0]] }}",
    "inserted": "{% set l = ['ss__'] %}{% set x = l.insert(0, '__cla') %}{{ ''[l|join] }}",
    "extended": "{% set l = [] %}{% do l.extend(['__cla', 'ss__']) %}{{ ''[l|join] }}",
    "updated": "{% set d = {} %}{% do d.update({'k': '__class__'}) %}{{ ''[d.k] }}",
    "updated by keyword": "{% set d = {} %}{% do d.update(k='__class__') %}{{ ''[d['k']] }}",
    "setdefault": "{{ ''[{}.setdefault('k', '__class__')] }}",
    "an alias of a list": "{% set a = [] %}{% set b = a %}{% do b.append('__class__') %}"
    "{{ ''[a[0]] }}",
    # Macros.
    "macro": "{% macro m() %}__class__{% endmacro %}{{ ''[m()] }}",
    "macro argument": "{% macro m(k) %}{{ ''[k] }}{% endmacro %}{{ m('__class__') }}",
    "macro keyword": "{% macro m(k) %}{{ ''[k] }}{% endmacro %}{{ m(k='__class__') }}",
    "macro default": "{% macro m(k='__class__') %}{{ ''[k] }}{% endmacro %}{{ m() }}",
    "macro varargs": "{% macro m() %}{{ ''[varargs[0]] }}{% endmacro %}{{ m('__class__') }}",
    "macro kwargs": "{% macro m() %}{{ ''[kwargs|list|first] }}{% endmacro %}{{ m(__class__=1) }}",
    "macro in parts": "{% macro m(a, b) %}{{ a }}{{ b }}{% endmacro %}{{ ''[m('__cla', 'ss__')] }}",
    "macro of a macro": "{% macro a(x) %}{{ x }}ss__{% endmacro %}{% macro b(f) %}"
    "{{ ''[f('__cla')] }}{% endmacro %}{{ b(a) }}",
    "macro name": "{% macro __class__() %}{% endmacro %}{{ ''[__class__.name] }}",
    "macro argument's name": "{% macro m(__class__) %}{% endmacro %}{{ ''[m.arguments[0]] }}",
    "macro in a list": "{% macro m(k) %}{{ ''[k] }}{% endmacro %}{{ [m][0]('__class__') }}",
    "macro in a dict": "{% macro m(k) %}{{ ''[k] }}{% endmacro %}{{ {'f': m}.f('__class__') }}",
    "macro that counts": "{% macro m(n) %}{% if n %}_{{ m(n - 1) }}{% endif %}{% endmacro %}"
    "{{ ''[m(2) ~ 'class' ~ m(2)] }}",
    "macro with state": "{% set ns = namespace(s='', n=0) %}{% macro m() %}"
    "{% set ns.s = ns.s ~ ['__cla', 'ss__'][ns.n] %}{% set ns.n = ns.n + 1 %}"
    "{% if ns.n < 2 %}{{ m() }}{% endif %}{% endmacro %}{{ m() }}{{ ''[ns.s] }}",
    "call block": "{% macro m() %}{{ ''[caller()] }}{% endmacro %}"
    "{% call m() %}__class__{% endcall %}",
    "call block argument": "{% macro m() %}{{ caller('__class__') }}{% endmacro %}"
    "{% call(k) m() %}{{ ''[k] }}{% endcall %}",
    "in a block": "{% block b %}{{ ''['__cla' ~ 'ss__'] }}{% endblock %}",
    "in generation": "{% generation %}{{ ''['__cla' ~ 'ss__'] }}{% endgeneration %}",
    "autoescape": "{% autoescape true %}{{ ''['__cla' ~ 'ss__'] }}{% endautoescape %}",
    "trimmed line": "{% set k %}{% if true %}\n__cla{% endif %}\nss__{% endset %}{{ ''[k] }}",
    # What a function returns.
    "a function's text": "{{ ''[strftime_now('__class__')] }}",
    "data with a prefix": "{{ ''['__' ~ messages[0].name ~ '__'] }}",
    "data replaced": "{{ ''[messages[0].role|replace('user', '__class__')] }}",
    # A condition that only looks decided.
    "an iterator used twice": "{% set g = ['a']|map('upper') %}{% set x = g|list %}"
    "{% if g|list == [] %}{{ ''['__cla' ~ 'ss__'] }}{% endif %}",
    "a list is no tuple": "{% if '%s' % ['a'] == 'a' %}x{% else %}{{ ''['__cla' ~ 'ss__'] }}"
    "{% endif %}",
    "a dict that was emptied": "{% set d = {'a': 1} %}{% set x = d.clear() %}{% if 'a' in d %}x"
    "{% else %}{{ ''['__cla' ~ 'ss__'] }}{% endif %}",
    "a word of the model": "{{ '_'.join(['', '', 'class', '', '']) and "
    "''['_'.join(['', '', 'class', '', ''])] }}",
}
"""Each prints a class in a plain environment (with loop controls, ``do`` and a generation tag)."""

REFUSED_BY_NAME = {
    "lipsum": "{{ lipsum }}",
    "lipsum alias": "{% set f = lipsum %}{{ f }}",
    "lipsum in a list": "{{ [lipsum][0] }}",
    "lipsum passed": "{% macro m(f) %}{{ f }}{% endmacro %}{{ m(lipsum) }}",
    "cycler": "{{ cycler.next }}",
    "joiner": "{{ joiner() }}",
    "self": "{{ self._TemplateReference__context }}",
    "self alias": "{% set s = self %}{{ s }}",
    "range as a value": "{{ range|attr('x') }}",
    "dict as a value": "{{ dict.fromkeys(['a']) }}",
    "namespace as a value": "{% set n = namespace %}{{ n }}",
    "include": "{% include 'other' %}",
    "import": "{%- import 'os' as os -%}",
    "from": "{% from 'x' import y %}",
    "extends": "{% extends 'base' %}",
    "a frame": "{{ x.gi_frame.f_globals }}",
    "a frame by text": "{{ x['gi_' ~ 'frame'] }}",
    "a frame by two": "{{ x|attr('f_builtins') }}",
    "a function of Python 2": "{{ raise_exception.func_globals }}",
    "mro": "{{ x.mro() }}",
    "selectattr": "{{ ['']|selectattr('__class__')|list }}",
    "rejectattr": "{{ ['']|rejectattr('a.__class__')|list }}",
    "groupby": "{{ ['']|groupby('__class__') }}",
    "unique": "{{ ['']|unique(attribute='__class__')|list }}",
    "max": "{{ ['']|max(attribute='__class__') }}",
    "min by place": "{{ ['']|min(false, '__class__') }}",
    "join attribute": "{{ ['']|join(attribute='__class__') }}",
    "sort by several": "{{ x|sort(attribute='a,__class__') }}",
    "sum by place": "{{ x|sum('__class__') }}",
    "dead code": "{% if false %}{{ ''.__class__ }}{% endif %}",
    "a macro nobody calls": "{% macro m() %}{{ ''['__cla' ~ 'ss__'] }}{% endmacro %}",
    "not closed": "{{ 'never closed' ~ x.__class__",
    "many alternatives": "{{ ''["
    + "".join(f"'a{n}' if messages[{n}] else " for n in range(30))
    + "'__class__'] }}",
}

UNDECIDED = {
    "letters of data": "{{ x[messages[0].role ~ 's'] }}",
    "a special token": "{{ messages[bos_token] }}",
    "letters of a special token": "{{ messages[bos_token[1:3]] }}",
    "a text by data": "{{ ''[messages[0].content] }}",
    "attr by data": "{{ x|attr(messages[0].name) }}",
    "map attr by data": "{{ x|map(attribute=messages[0].name)|list }}",
    "map by data": "{{ x|map(messages[0].name)|list }}",
    "format of data": "{{ messages[0].content.format(x) }}",
    "format_map of a token": "{{ bos_token.format_map(x) }}",
    "letters of an object": "{{ x[(()|select|string)[24]] }}",
    "a filter nobody knows": "{{ messages|render }}",
    "json of data": "{{ x[messages|tojson] }}",
}

DATA = {
    "messages": [
        {"role": "system", "content": "You help."},
        {"role": "user", "content": "What is up?"},
        {
            "role": "assistant",
            "content": "<think>hm</think>\nNothing.",
            "tool_calls": [
                {
                    "id": "abcdefghi",
                    "type": "function",
                    "function": {"name": "look", "arguments": {"at": "sky", "far": True}},
                }
            ],
        },
        {"role": "tool", "name": "look", "tool_call_id": "abcdefghi", "content": "clouds"},
        {"role": "assistant", "content": "Clouds."},
    ],
    "tools": [
        {
            "type": "function",
            "function": {
                "name": "look",
                "description": "Look somewhere.",
                "parameters": {
                    "type": "object",
                    "properties": {
                        "at": {"type": "string", "description": "where", "enum": ["sky", "sea"]},
                        "far": {"type": ["boolean", "string"]},
                        "list": {"type": "array", "items": {"type": "integer"}},
                    },
                    "required": ["at"],
                },
            },
        }
    ],
    "documents": [{"title": "Sky", "text": "It is blue.", "score": 1}],
    "bos_token": "<s>",
    "eos_token": "</s>",
    "add_generation_prompt": True,
    "enable_thinking": False,
}

_JSON_TO_PYTHON = """\
{%- macro json_to_python_type(json_spec) %}
{%- set basic_type_map = {
    "string": "str", "number": "float", "integer": "int", "boolean": "bool"
} %}
{%- if basic_type_map[json_spec.type] is defined %}
    {{- basic_type_map[json_spec.type] }}
{%- elif json_spec.type == "array" %}
    {{- "list[" +  json_to_python_type(json_spec|items) + "]"}}
{%- elif json_spec.type == "object" %}
    {%- if json_spec.additionalProperties is defined %}
        {{- "dict[str, " + json_to_python_type(json_spec.additionalProperties) + ']'}}
    {%- else %}
        {{- "dict" }}
    {%- endif %}
{%- elif json_spec.type is iterable %}
    {{- "Union[" }}
    {%- for t in json_spec.type %}
      {{- json_to_python_type({"type": t}) }}
      {%- if not loop.last %}
        {{- "," }}
      {%- endif %}
    {%- endfor %}
    {{- "]" }}
{%- else %}
    {{- "Any" }}
{%- endif %}
{%- endmacro %}
{%- for tool in tools %}
    {%- if tool.function is defined %}{%- set tool = tool.function %}{%- endif %}
    {%- for param_name, param_fields in tool.parameters.properties|items %}
        {{- param_name + ": " + json_to_python_type(param_fields) }}
    {%- endfor %}
{%- endfor %}"""

HONEST = {
    "chatml": "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\n' + "
    "message['content'] + '<|im_end|>' + '\n'}}{% endfor %}{% if add_generation_prompt %}"
    "{{ '<|im_start|>assistant\n' }}{% endif %}",
    "zephyr": "{% for message in messages %}\n{% if message['role'] == 'user' %}\n"
    "{{ '<|user|>\n' + message['content'] + eos_token }}\n{% elif message['role'] == 'system' %}\n"
    "{{ '<|system|>\n' + message['content'] + eos_token }}\n{% endif %}\n"
    "{% if loop.last and add_generation_prompt %}\n{{ '<|assistant|>' }}\n{% endif %}\n{% endfor %}",
    "llama 2": "{% if messages[0]['role'] == 'system' %}{% set loop_messages = messages[1:] %}"
    "{% set system_message = messages[0]['content'] %}{% else %}{% set loop_messages = messages %}"
    "{% set system_message = false %}{% endif %}{% for message in loop_messages %}"
    "{% if loop.index0 == 0 and system_message != false %}{% set content = '<<SYS>>\\n' + "
    "system_message + '\\n<</SYS>>\\n\\n' + message['content'] %}{% else %}"
    "{% set content = message['content'] %}{% endif %}{{ bos_token + '[INST] ' + content.strip() }}"
    "{% endfor %}",
    "alternation": "{% for message in messages[1:3] %}{% if (message['role'] == 'user') != "
    "(loop.index0 % 2 == 0) %}{{ raise_exception('Conversation roles must alternate "
    "user/assistant/user/assistant/...') }}{% endif %}{% endfor %}",
    "llama 3 date": "{%- if not date_string is defined %}{%- if strftime_now is defined %}"
    "{%- set date_string = strftime_now('%d %b %Y') %}{%- else %}"
    "{%- set date_string = '26 Jul 2024' %}{%- endif %}{%- endif %}{{ 'Today: ' + date_string }}",
    "llama 3 custom tools": "{%- if custom_tools is defined %}{%- set tools = custom_tools %}"
    "{%- endif %}{%- if not tools_in_user_message is defined %}"
    "{%- set tools_in_user_message = true %}{%- endif %}{%- if not tools is defined %}"
    "{%- set tools = none %}{%- endif %}{%- for t in tools %}{{- t | tojson(indent=4) }}"
    "{{- '\n\n' }}{%- endfor %}",
    "llama 3 system": "{%- if messages[0]['role'] == 'system' %}"
    "{%- set system_message = messages[0]['content']|trim %}{%- set messages = messages[1:] %}"
    "{%- else %}{%- set system_message = '' %}{%- endif %}{{ system_message }}",
    "llama 3 builtin tools": "{%- set builtin_tools = ['brave_search', 'code_interpreter'] %}"
    "{{- 'Tools: ' + builtin_tools | reject('equalto', 'code_interpreter') | join(', ') + '\n\n'}}",
    "llama 3 arguments": "{%- for message in messages %}{%- if 'tool_calls' in message %}"
    "{%- if not message.tool_calls|length == 1 %}{{- raise_exception('single tool-calls only') }}"
    "{%- endif %}{%- set tool_call = message.tool_calls[0].function %}"
    "{%- for arg_name, arg_val in tool_call.arguments | items %}{{- arg_name + '=\"' ~ arg_val ~ "
    "'\"' }}{%- if not loop.last %}{{- ', ' }}{%- endif %}{%- endfor %}{%- endif %}{%- endfor %}",
    "json_to_python_type": _JSON_TO_PYTHON,
    "qwen tools": "{%- if tools %}{{- '# Tools\n<tools>' }}{%- for tool in tools %}{{- '\n' }}"
    "{{- tool | tojson }}{%- endfor %}{{- '\n</tools> {\"name\": <function-name>}' }}{%- endif %}",
    "qwen last query": "{%- set ns = namespace(multi_step_tool=true, "
    "last_query_index=messages|length - 1) %}{%- for message in messages[::-1] %}"
    "{%- set index = (messages|length - 1) - loop.index0 %}{%- if ns.multi_step_tool and "
    "message.role == 'user' and not(message.content.startswith('<tool_response>') and "
    "message.content.endswith('</tool_response>')) %}{%- set ns.multi_step_tool = false %}"
    "{%- set ns.last_query_index = index %}{%- endif %}{%- endfor %}"
    "{{ messages[ns.last_query_index].content }}",
    "qwen thinking": "{%- for message in messages %}{%- set content = message.content %}"
    "{%- set reasoning_content = '' %}{%- if message.reasoning_content is defined and "
    "message.reasoning_content is not none %}{%- set reasoning_content = message.reasoning_content "
    "%}{%- else %}{%- if '</think>' in message.content %}{%- set content = "
    "message.content.split('</think>')[-1].lstrip('\n') %}{%- set reasoning_content = "
    "message.content.split('</think>')[0].rstrip('\n').split('<think>')[-1].lstrip('\n') %}"
    "{%- endif %}{%- endif %}{{ reasoning_content.strip('\n') ~ content }}{%- endfor %}",
    "qwen no thinking": "{%- if enable_thinking is defined and enable_thinking is false %}"
    "{{- '<think>\n\n</think>\n\n' }}{%- endif %}",
    "qwen neighbours": "{%- for message in messages %}{%- if message.role == 'tool' %}"
    "{%- if (loop.first) or (messages[loop.index0 - 1].role != 'tool') %}{{- '<|im_start|>user' }}"
    "{%- endif %}{%- if loop.last or (messages[loop.index0 + 1].role != 'tool') %}"
    "{{- '<|im_end|>\n' }}{%- endif %}{%- endif %}{%- endfor %}",
    "qwen vision": "{% set image_count = namespace(value=0) %}{% for message in messages %}"
    "{% if message['content'] is string %}{{ message['content'] }}{% else %}"
    "{% for content in message['content'] %}{% if content['type'] == 'image' or 'image_url' in "
    "content %}{% set image_count.value = image_count.value + 1 %}{% if add_vision_id %}Picture "
    "{{ image_count.value }}: {% endif %}<|vision_start|>{% endif %}{% endfor %}{% endif %}"
    "{% endfor %}",
    "qwen coder parameters": "{%- macro render_extra_keys(json_dict, handled_keys) -%}"
    "{%- if json_dict is mapping %}{%- for json_key in json_dict if json_key not in handled_keys %}"
    "{%- if json_dict[json_key] is mapping or (json_dict[json_key] is sequence and "
    "json_dict[json_key] is not string) %}{{- '\n<' ~ json_key ~ '>' ~ (json_dict[json_key] | "
    "tojson | safe) ~ '</' ~ json_key ~ '>' }}{%- else %}{{- '\n<' ~ json_key ~ '>' ~ "
    "(json_dict[json_key] | string) ~ '</' ~ json_key ~ '>' }}{%- endif %}{%- endfor %}"
    "{%- endif %}{% endmacro %}{%- for tool in tools %}{{- render_extra_keys(tool.function, "
    "['type', 'name', 'description', 'parameters']) }}{%- endfor %}",
    "mistral groups": "{%- set ns = namespace() %}{%- set ns.index = 0 %}"
    "{%- for message in messages %}{%- if not (message.role == 'tool' or message.role == "
    "'tool_results' or (message.tool_calls is defined and message.tool_calls is not none)) %}"
    "{%- if (message['role'] == 'user') != (ns.index % 2 == 0) %}{{ 'x' }}{%- endif %}"
    "{%- set ns.index = ns.index + 1 %}{%- endif %}{%- endfor %}",
    "mistral tools": "{%- set user_messages = messages | selectattr('role', 'equalto', 'user') | "
    "list %}{%- for message in messages %}{%- if tools is not none and (message == "
    "user_messages[-1]) %}{{- '[AVAILABLE_TOOLS] [' }}{%- for tool in tools %}"
    '{%- set tool = tool.function %}{{- \'{"type": "function", "function": {\' }}'
    "{%- for key, val in tool.items() if key != 'return' %}{%- if val is string %}"
    "{{- '\"' + key + '\": \"' + val + '\"' }}{%- else %}{{- '\"' + key + '\": ' + val|tojson }}"
    "{%- endif %}{%- if not loop.last %}{{- ', ' }}{%- endif %}{%- endfor %}{{- '}}' }}"
    "{%- endfor %}{{- '][/AVAILABLE_TOOLS]' }}{%- endif %}{%- endfor %}",
    "mistral ids": "{%- for message in messages %}{%- if message.tool_calls %}"
    "{%- for tool_call in message.tool_calls %}{%- if tool_call.id is not defined or "
    "tool_call.id|length != 9 %}{{- raise_exception('Tool call IDs should be 9 characters') }}"
    "{%- endif %}{%- set out = tool_call.function|tojson %}{{- out[:-1] }}"
    "{{- ', \"id\": \"' + tool_call.id + '\"}' }}{%- endfor %}{%- endif %}{%- endfor %}",
    "gemma": "{{ bos_token }}{% for message in messages %}{% if (message['role'] == 'assistant') %}"
    "{% set role = 'model' %}{% else %}{% set role = message['role'] %}{% endif %}"
    "{{ '<start_of_turn>' + role + '\n' + message['content'] | trim + '<end_of_turn>\n' }}"
    "{% endfor %}",
    "gemma 3 parts": "{%- if messages[0]['content'] is string -%}{%- set first_user_prefix = "
    "messages[0]['content'] + '\n\n' -%}{%- else -%}{%- set first_user_prefix = "
    "messages[0]['content'][0]['text'] + '\n\n' -%}{%- endif -%}{{ first_user_prefix }}",
    "deepseek": "{% if not add_generation_prompt is defined %}{% set add_generation_prompt = false "
    "%}{% endif %}{% set ns = namespace(is_first=false, is_tool=false, is_output_first=true, "
    "system_prompt='') %}{%- for message in messages %}{%- if message['role'] == 'system' %}"
    "{% set ns.system_prompt = message['content'] %}{%- endif %}{%- endfor %}{{ bos_token }}"
    "{{ ns.system_prompt }}{%- for message in messages %}{%- if message['role'] == 'user' %}"
    "{%- set ns.is_tool = false -%}{{ '<|User|>' + message['content'] }}{%- endif %}"
    "{%- if message['role'] == 'assistant' and message['content'] is not none %}"
    "{%- if ns.is_tool %}{{ '<|tool_outputs_end|>' + message['content'] }}"
    "{%- set ns.is_tool = false -%}{%- else %}{% set content = message['content'] %}"
    "{% if '</think>' in content %}{% set content = content.split('</think>')[-1] %}{% endif %}"
    "{{ '<|Assistant|>' + content + '<|end|>' }}{%- endif %}{%- endif %}{%- endfor -%}",
    "phi": "{% for message in messages %}{% if message['role'] == 'system' and 'tools' in message "
    "and message['tools'] is not none %}{{ '<|' + message['role'] + '|>' + message['content'] + "
    "'<|tool|>' + message['tools'] + '<|/tool|>' + '<|end|>' }}{% else %}{{ '<|' + message['role'] "
    "+ '|>' + message['content'] + '<|end|>' }}{% endif %}{% endfor %}",
    "command-r": "{{ bos_token }}{% if documents %}{{ '<results>' }}{% for document in documents %}"
    "{{ '\nDocument: ' }}{{ loop.index0 }}\n{% for key, value in document.items() %}{{ key }}: "
    "{{value}}\n{% endfor %}{% endfor %}{{ '</results>'}}{% endif %}",
    "command-r types": "{%- macro json_to_python_type(json_spec) %}{%- set basic_type_map = "
    "{'string': 'str', 'number': 'float'} %}{%- if basic_type_map[json_spec.type] is defined %}"
    "{{- basic_type_map[json_spec.type] }}{%- elif json_spec.type == 'array' %}{{- 'List[' + "
    "json_to_python_type(json_spec['items']) + ']' }}{%- else %}{{- 'Any' }}{%- endif %}"
    "{%- endmacro %}{%- macro old_tool_parser(tools) %}{%- for tool in tools %}"
    "{%- set tool = tool.function %}{{- 'def ' + tool.name + '(' }}{%- for param_name, param_fields "
    "in tool.parameters.properties|items %}{{- param_name + ': ' }}{%- if not param_name in "
    "tool.parameters.required %}{{- 'Optional[' + json_to_python_type(param_fields) + '] = None' }}"
    "{%- else %}{{- json_to_python_type(param_fields) }}{%- endif %}{%- if not loop.last %}"
    "{{- ', ' }}{%- endif %}{%- endfor %}{{- ') -> List[Dict]:' }}{%- endfor %}{%- endmacro %}"
    "{{ old_tool_parser(tools) }}",
    "hermes": "{%- for tool in tools %}{%- if tool.function is defined %}{%- set tool = "
    'tool.function %}{%- endif %}{{- \'{"type": "function", "function": \' }}'
    "{{- '{\"name\": \"' + tool.name + '\", ' }}{{- '\"description\": \"' + tool.name + '(' }}"
    "{%- for param_name, param_fields in tool.parameters.properties|items %}{{- param_name }}"
    "{%- if not loop.last %}{{- ', ' }}{%- endif %}{%- endfor %}{{- ')' }}"
    "{%- if tool.return is defined %}{{- ' -> ' + tool.return.type }}{%- endif %}{%- endfor %}",
    "generation": "{% for message in messages %}{% if message.role == 'assistant' %}"
    "{% generation %}{{ message.content }}{% endgeneration %}{% else %}{{ message.content }}"
    "{% endif %}{% endfor %}",
    "break": "{% for message in messages %}{% if message.role == 'user' %}{{ message.content }}"
    "{% break %}{% endif %}{% if message.role == 'system' %}{% continue %}{% endif %}{% endfor %}",
    "do": "{% set roles = [] %}{% for m in messages %}{% do roles.append(m.role) %}{% endfor %}"
    "{{ roles|join(',') }}",
    "append without do": "{% set parts = [] %}{% for m in messages %}"
    "{% set _ = parts.append(m.role ~ ': ' ~ m.content) %}{% endfor %}{{ parts|join('\n') }}",
    "keys of a tool": "{% for tool in tools %}{% for key in tool %}{{ key }}={{ tool[key] }}"
    "{% endfor %}{% endfor %}",
    "sorted keys": "{% for tool in tools %}{% for key in tool.function.keys()|list|sort %}{{ key }}="
    "{{ tool.function[key]|tojson }}{% endfor %}{% endfor %}",
    "dictsort": "{% for tool in tools %}{% for key, value in tool.function.parameters.properties|"
    "dictsort %}{{ key }}: {{ value['type'] }}{% endfor %}{% endfor %}",
    "constant keys": "{% for key in ['name', 'description'] %}{{ tools[0].function[key] }}"
    "{% endfor %}",
    "role names": "{% set names = {'user': 'Human', 'assistant': 'AI', 'system': 'System', 'tool': "
    "'Tool'} %}{% for m in messages %}{{ names[m.role] }}: {{ m.content }}{% endfor %}",
    "role names by get": "{% set names = {'user': 'Human'} %}{% for m in messages %}"
    "{{ names.get(m['role'], m['role']|capitalize) }}{% endfor %}",
    "role names by lower": "{% set names = {'user': 'Human'} %}{% for m in messages %}"
    "{{ names[m.role|lower] }}{% endfor %}",
    "map of contents": "{{ messages | map(attribute='content') | join('\n') | tojson }}",
    "nested attribute": "{{ tools | map(attribute='function.name') | join(', ') }}",
    "groupby": "{% for role, group in messages|groupby('role') %}{{ role }}: {{ group|length }}"
    "{% endfor %}",
    "sort": "{% for d in documents|sort(attribute='score', reverse=true) %}{{ d.title }}"
    "{% endfor %}{{ documents|sum(attribute='score') }}",
    "selectattr": "{{ (messages|selectattr('role', 'equalto', 'tool')|list)[-1].content }}"
    "{{ messages|rejectattr('role', 'in', ['system', 'tool'])|map(attribute='role')|unique|list }}",
    "format": "{{ '%s: %s' | format(messages[0].role, messages[0].content) }}"
    "{{ '{}: {}'.format(messages[0].role, loop_count|default(1)) }}",
    "dunder as text": "{{ '__START__' }}__init__ {{ 'use __class__ ' ~ messages[0].content }}",
    "dunder in a comparison": "{% if messages[0].content == '__tool_call__' %}x{% endif %}",
    "raw": "{% raw %}{{ ''.__class__ }}{% endraw %}",
    "comment": "{# {% include 'x' %}{{ ''.__class__ }} #}plain [/INST]",
    "words of tags as text": "{% if messages[0].role == 'import from self' %}include{% endif %}"
    "{{ 'lipsum cycler() |attr(' }}",
    "names of one's own": "{%- macro from_user(x) -%}{{ x.from_user }}{%- endmacro -%}"
    "{{ from_user(messages[0]) }}{{ joiners }}",
    "tail of messages": "{% for m in messages[-2:] %}{{ m.content }}{% endfor %}"
    "{{ messages[-1]['content'][:20] }}{{ (messages|last).role }}",
    "range": "{% for i in range(messages|length) %}{{ messages[i].role }}"
    "{% if i + 1 < messages|length %}{{ messages[i + 1].role }}{% endif %}{% endfor %}",
    "range down": "{% for i in range(messages|length - 1, -1, -1) %}{{ messages[i]['role'] }}"
    "{% endfor %}",
    "previous and next": "{% for m in messages %}{% if not loop.first and not loop.last %}"
    "{{ loop.previtem.role }}{{ loop.nextitem.role }}{% endif %}"
    "{% if loop.changed(m.role) %}x{% endif %}{% endfor %}",
    "tool names by id": "{% set ns = namespace(names={}) %}{% for m in messages %}"
    "{% for call in m.tool_calls or [] %}{% set _ = ns.names.update({call.id: call.function.name}) "
    "%}{% endfor %}{% if m.role == 'tool' %}{{ ns.names[m.tool_call_id] }}{% endif %}{% endfor %}",
    "arguments by json": "{% for m in messages %}{% for call in m.tool_calls or [] %}"
    "{{ call.function.arguments if call.function.arguments is string else "
    "call.function.arguments|tojson(ensure_ascii=False) }}{% endfor %}{% endfor %}",
    "block of text": "{% set system %}You are {{ messages[0].content }}\n__use__{% endset %}"
    "{{ system|trim }}",
    "call block": "{% macro turn(role) %}<|{{ role }}|>{{ caller() }}<|end|>{% endmacro %}"
    "{% for m in messages %}{% call turn(m.role) %}{{ m.content }}{% endcall %}{% endfor %}",
    "filter block": "{% filter trim %}{% for m in messages %}{{ m.content }}{% endfor %}"
    "{% endfilter %}",
    "typescript": "{%- macro render_type(spec, required, nullable=false) -%}"
    "{%- if spec.type == 'array' -%}{%- if spec['items'] -%}{{- render_type(spec['items'], "
    "required) + '[]' }}{%- endif %}{%- elif spec.type is sequence and spec.type is not string -%}"
    "{{- spec.type | join(' | ') }}{%- elif spec.enum -%}{{- '\"' + spec.enum | join('\" | \"') + "
    "'\"' }}{%- elif spec.properties -%}{%- for name, inner in spec.properties.items() -%}"
    "{{- name }}{%- if name not in (spec.required or []) -%}{{ '?' }}{%- endif -%}: "
    "{{ render_type(inner, required) }}{%- endfor -%}{%- else -%}{{ spec.type }}{%- endif -%}"
    "{%- endmacro -%}{{ render_type(tools[0].function.parameters, []) }}",
    "nothing": "",
}

HOSTILE = {
    "a chain of tildes": "{{ " + "~".join(["'a'"] * 30_000) + " }}",
    "a chain of pluses": "{{ " + "+".join(["'a'"] * 30_000) + " }}",
    "a chain of unknown pluses": "{{ " + "+".join(["a"] * 40_000) + " }}",
    "a chain of filters": "{{ 'a'" + "|upper" * 20_000 + " }}",
    "a chain of attributes": "{{ a" + ".b" * 60_000 + " }}",
    "a chain of subscripts": "{{ a" + "[0]" * 40_000 + " }}",
    "a chain of or": "{{ " + " or ".join(["a"] * 30_000) + " }}",
    "parentheses": "{{ " + "(" * 60_000 + ")" * 60_000 + " }}",
    "lists": "{{ " + "[" * 60_000 + "]" * 60_000 + " }}",
    "not": "{{ " + "not " * 30_000 + "a }}",
    "minus": "{{ " + "-" * 120_000 + "1 }}",
    "conditionals": "{{ " + "a if b else " * 10_000 + "c }}",
    "ifs": "{% if a %}" * 12_000,
    "closed ifs": "{% if a %}" * 5_000 + "{% endif %}" * 5_000,
    "elifs": "{% if a %}" + "{% elif b %}" * 10_000 + "{% endif %}",
    "block sets": "{% set a %}" * 10_000,
    "braces": "{{" * 60_000,
    "comments": "{#" * 60_000,
    "quotes": "{{ '" + "\\'" * 60_000,
    "open strings": "{{ '__a__" * 10_000,
    "nested loops": "".join(f"{{% for a{n} in range(1000) %}}" for n in range(8))
    + "{{ 'x' ~ a1 }}"
    + "{% endfor %}" * 8,
    "nested loops over data": "{% set ns = namespace(s='') %}"
    + "".join(f"{{% for a{n} in messages %}}{{% set ns.s = ns.s ~ 'a{n}' %}}" for n in range(20))
    + "{% endfor %}" * 20,
    "doubling": "{% set a = 'aaaaaaaaaaaaaaaa' %}" + "{% set a = a ~ a %}" * 5_000,
    "doubling lists": "{% set a = ['a'] %}" + "{% set a = a + a %}" * 5_000,
    "doubling macros": "".join(
        f"{{% macro m{n}() %}}{{{{ m{n - 1}() }}}}{{{{ m{n - 1}() }}}}{{% endmacro %}}"
        for n in range(1, 40)
    )
    + "{{ m39() }}",
    "a macro that calls itself": "{% macro m(n) %}{{ m(n + 1) }}{{ m(n + 2) }}{% endmacro %}"
    "{{ m(1) }}",
    "wide numbers": "{{ 'a' * 10**9 }}{{ '%1000000000d' % 1 }}{{ '%*d' % (1000000000, 1) }}"
    "{{ '{:1000000000}'.format(1) }}{{ '{:{}}'.format(1, 1000000000) }}{{ 'a'|center(10**9) }}"
    "{{ 9 ** 9 ** 9 ** 9 }}{{ 'a'.zfill(1000000000) }}{{ 'a'|indent(1000000000) }}"
    "{{ range(10**12)|list|length }}{{ (10**200) ** (10**200) }}{{ [1] * 10**9 }}"
    "{{ ('a' * 9999)|replace('a', 'b' * 9999) }}{{ 'a'.replace('', 'b' * 9999) }}",
    "a long number": "{{ " + "9" * 100_000 + " }}",
    "many alternatives": "{% set a = '' %}"
    + "".join(f"{{% if x %}}{{% set a = a ~ '{n}' %}}{{% endif %}}" for n in range(2_000)),
    "a list in itself": "{% set l = [] %}{% do l.append(l) %}{{ l }}{{ l|join }}{{ l == l }}"
    "{% for x in l %}{{ x[0][0] }}{% endfor %}",
    "tags": "{%" * 60_000,
    "many names": "".join(f"{{% set a{n} = b{n} %}}" for n in range(6_000)),
    "slow filters": "{% set a = '<' * 16000 %}" + "{{ a|striptags|urlize|title }}" * 500,
}
