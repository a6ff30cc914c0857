"""More escapes for tests: names that constants spell."""

__all__ = ["BY_FOLDING"]

BY_FOLDING = {
    "batch fill": "{{ messages[messages|batch(100,'__class__')|first|last] }}",
    "slice fill": "{{ messages[(messages|slice(100,'__class__')|list)[-1]|last] }}",
    "groupby default": ("{{ messages[messages|groupby('x', default='__class__')|first|first] }}"),
    "groupby default pos": ("{{ messages[(messages|groupby('x', '__class__')|first).grouper] }}"),
    "sum start": "{{ messages[messages[:0]|sum(start=['__class__'])|first] }}",
    "int default": "{{ messages[messages|int(base=16,default='__class__')] }}",
    "int default2": "{{ messages[messages|int('__class__')] }}",
    "float default": "{{ messages[messages|float(default='__class__')] }}",
    "map default": ("{{ messages[messages|map(attribute='x', default='__class__')|first] }}"),
    "block scope": (
        "{% set k='__class__' %}{% for k in ['role'] %}{% block b %}{{ ''[k] }}{% endblock %}{% "
        "endfor %}"
    ),
    "cell after": (
        "{% set k='role' %}{% macro m() %}{{ ''[k] }}{% endmacro %}{% set k='__class__' %}{{ m() }}"
    ),
    "kwargs items": (
        "{% macro m() %}{% for k in kwargs %}{{ ''[k] }}{% endfor %}{% endmacro %}{{ "
        "m(__class__=1) }}"
    ),
    "kwargs keys": (
        "{% macro m() %}{{ ''[kwargs.keys()|first] }}{% endmacro %}{{ m(__class__=1) }}"
    ),
    "varargs join": ("{% macro m() %}{{ ''[varargs|join] }}{% endmacro %}{{ m('__cla','ss__') }}"),
    "caller kw": (
        "{% macro m() %}{{ ''[caller()] }}{% endmacro %}{% call m() %}{% for c in '__class__' %}{{ "
        "c }}{% endfor %}{% endcall %}"
    ),
    "caller twice": (
        "{% macro m() %}{{ ''[caller('__cla') ~ caller('ss__')] }}{% endmacro %}{% call(x) m() "
        "%}{{ x }}{% endcall %}"
    ),
    "loop class": "{% for i in [1] %}{{ loop.__class__ }}{% endfor %}",
    "loop attr": "{% for i in [1] %}{{ loop['__cla'~'ss__'] }}{% endfor %}",
    "filter block": (
        "{% set k %}{% filter replace('-','_') %}--class--{% endfilter %}{% endset %}{{ ''[k] }}"
    ),
    "chr format": "{{ ''['%c'|format(95) ~ '%c'|format(95) ~ 'class__'] }}",
    "format spec": "{{ ''['{:c}{:c}class__'.format(95,95)] }}",
    "__mod__": "{{ '%s'['__mo' ~ 'd__']('x').__class__ }}",
    "dict first": "{{ ''[dict(__class__=1)|first] }}",
    "dict items": "{{ ''[dict(__class__=1).items()|first|first] }}",
    "dict dictsort": "{{ ''[dict(__class__=1)|dictsort|first|first] }}",
    "dict string": "{{ ''[(dict(__class__=1)|string)[2:11]] }}",
    "dict keys join": "{{ ''[dict(__cla=1,ss__=2)|join] }}",
    "list string": "{{ ''[(['__class__']|string)[2:-2]] }}",
    "gen string": ("{{ ''[(()|select|string)[24]*2 ~ 'class' ~ (()|select|string)[24]*2] }}"),
    "macro string": ("{% macro a__class__b() %}{% endmacro %}{{ ''[(a__class__b|string)[9:18]] }}"),
    "range in": "{{ ''['__class__'[range(9)[0]:range(9)[8]+1]] }}",
    "tilde num": "{% set u='_' %}{{ ''[u~u~'class'~u~u] }}",
    "pad": "{{ ''['class'.center(9,'_')] }}",
    "ljust": "{{ ''['__class'.ljust(9,'_')] }}",
    "translate none": "{{ ''['#__class__#'.translate({35: none})] }}",
    "encode hex": "{{ ''[('__class__'.encode()).decode('utf-8')] }}",
    "bytes join": ("{{ ''[(''.encode().join(['__cla'.encode(), 'ss__'.encode()])).decode()] }}"),
    "bytes index": "{{ ''['%c%cclass__'|format('_'.encode()[0], '_'.encode()[0])] }}",
    "int to_bytes": "{{ ''[(24415).to_bytes(2,'big').decode() ~ 'class__'] }}",
    "dict fromkeys": "{{ ''[{}.fromkeys(['__class__'])|first] }}",
    "cond set": "{% set k = '__class__' if true else 'x' %}{{ ''[k] }}",
    "default": "{{ ''[undefinedx|d('__class__')] }}",
    "split map": "{{ ''['__cla|ss__'.split('|')|join] }}",
    "select": "{{ ''[['','__class__']|select|first] }}",
    "selectattr": "{{ (['']|selectattr('__class__')|list)[0].__class__ }}",
    "groupby": "{{ (['']|groupby('__class__')|first)[0] }}",
    "unique attr": "{{ (['']|unique(attribute='__class__')|list)[0]|attr('__class__') }}",
    "map map": "{{ ([['']]|map('map','attr','__class__')|map('list')|list)[0] }}",
    "map map attribute": ("{{ ([['']]|map('map',attribute='__class__')|map('list')|list)[0] }}"),
    "set block filter": "{% set k | reverse %}__ssalc__{% endset %}{{ ''[k] }}",
    "set block upper": "{% set k | lower | trim %} __CLASS__ {% endset %}{{ ''[k] }}",
    "nested macro": (
        "{% macro a() %}{% macro b() %}__class__{% endmacro %}{{ b() }}{% endmacro %}{{ ''[a()] }}"
    ),
    "macro default outer": (
        "{% set d='__class__' %}{% macro m(k=d) %}{{ ''[k] }}{% endmacro %}{{ m() }}"
    ),
    "macro default late": ("{% macro m(a, k=a) %}{{ ''[k] }}{% endmacro %}{{ m('__class__') }}"),
    "loop index str": ("{% for m in messages %}{{ ''[{1:'__class__'}[loop.index]] }}{% endfor %}"),
    "tuple unpack loop": "{% for a,b in [('__cla','ss__')] %}{{ ''[a~b] }}{% endfor %}",
    "nested unpack": ("{% for a,(b,c) in [('__',('cla','ss__'))] %}{{ ''[a~b~c] }}{% endfor %}"),
    "zip-like": "{{ ''['__ssalc__'|list|reverse|join] }}",
    "sort join": "{{ ''[[ 'b','__class__']|sort|first] }}",
    "replace count": "{{ ''['ab__class__'|replace('ab','',1)] }}",
    "regex-like": "{{ ''['__class__ x'.split()[0]] }}",
    "message key const": "{{ ''[messages[0].name and '__class__'] }}",
    "get default": "{{ ''[messages[0].get('zzz','__class__')] }}",
    "messages + list": ("{% for m in messages + ['__class__'] %}{{ messages[m] }}{% endfor %}"),
    "list + messages": "{{ messages[(messages + ['__class__'])[-1]] }}",
    "messages plus list last": "{{ messages[(messages + ['__class__'])|last] }}",
    "or default": "{{ messages[(nothing or ['__class__'])[0]] }}",
    "content replace": "{{ messages[messages[0].content.replace('hi','__class__')] }}",
    "content join": "{{ messages['hi'.join(['__cla','ss__']).replace('hi','')] }}",
    "content split join": (
        "{{ messages[messages[0].content.join(['__cla','ss__']).replace('hi','')] }}"
    ),
    "content center": "{{ messages[messages[0].name.center(9,'_')] }}",
    "content translate": ("{{ messages[messages[0].name.translate({99:'__c',115:'s',})~'__'] }}"),
    "content ljust": "{{ messages['__class__'.ljust(messages|length)] }}",
    "recursive loop": (
        "{% for k in [['__class__']] recursive %}{% if k is string %}{{ messages[k] }}{% else %}{{ "
        "loop(k) }}{% endif %}{% endfor %}"
    ),
    "recursive ret": (
        "{% for k in [1] recursive %}{{ ''[loop(['__class__'])] if k == 1 else k }}{% endfor %}"
    ),
    "with shadow": "{% set k='__class__' %}{% with k='role' %}{% endwith %}{{ ''[k] }}",
    "if leak": "{% if messages %}{% set k='__class__' %}{% endif %}{{ ''[k] }}",
    "for else leak": ("{% for i in [] %}{% else %}{% set k='__class__' %}{{ ''[k] }}{% endfor %}"),
    "upper eq": "{% if '\u00df'|upper == 'SS' %}{{ ''['__cla'~'ss__'] }}{% endif %}",
    "compare types": "{% if 1 == true %}{{ ''['__cla'~'ss__'] }}{% endif %}",
    "float div": "{% if 3/2 == 1.5 %}{{ ''['__cla'~'ss__'] }}{% endif %}",
    "sameas": "{% if none is sameas none %}{{ ''['__cla'~'ss__'] }}{% endif %}",
    "undefined cond": "{% if not zzz %}{{ ''['__cla'~'ss__'] }}{% endif %}",
    "const undefined": "{% if {}.zzz is undefined %}{{ ''['__cla'~'ss__'] }}{% endif %}",
    "idx error": ("{% if [1][5] is defined %}x{% else %}{{ ''['__cla'~'ss__'] }}{% endif %}"),
    "escaped markup": "{{ ''['__class__'|e|string] }}",
    "markup mod": "{{ ''['%sclass__'|safe % '__'] }}",
    "markup format": "{{ ('{0.__class__}'|safe).format('') }}",
    "markup join": "{{ ''[('__'|safe).join(['','class',''])] }}",
    "str in str": "{{ ''[('%s' ~ 'class%s') % ('__','__')] }}",
    "mul var": "{% set u='_'*2 %}{{ ''[u+'class'+u] }}",
    "slice var": "{% set i=2 %}{{ ''['ab__class__'[i:]] }}",
    "neg index": "{{ ''[['__class__'][-1]] }}",
    "map items": "{{ ''[{'a':'__class__'}|items|map('last')|first] }}",
    "xmlattr": "{{ ''[({'__class__':1}|xmlattr)[1:10]] }}",
    "urlize": "{{ ''['__class__'|urlize] }}",
    "tojson list": "{{ ''[(['__class__']|tojson)[2:11]] }}",
    "pprint": "{{ ''[(['__class__']|pprint)[2:11]] }}",
    "groupby list": "{{ ''[([{'k':'__class__'}]|groupby('k')|first).grouper] }}",
    "groupby list idx": "{{ ''[([{'k':'__class__'}]|groupby('k')|first)[0]] }}",
    "max attr": "{{ ''[([{'k':'__class__'}]|max(attribute='k')).k] }}",
    "map attribute const": "{{ ''[[{'k':'__class__'}]|map(attribute='k')|first] }}",
    "map attribute idx": "{{ ''[[['__class__']]|map(attribute=0)|first] }}",
    "map attribute idx2": "{{ ''[[['__class__']]|map(attribute='0')|first] }}",
    "attr method": "{{ ''[('__CLASS__'|attr('lower'))()] }}",
    "attr format": "{{ ('{0.__class__}'|attr('format'))('') }}",
    "map attr method": "{{ (['{0.__class__}']|map('attr','format')|first)('') }}",
    "map attribute method": "{{ (['{0.__class__}']|map(attribute='format')|first)('') }}",
    "getitem method": "{{ ['{0.__class__}'.format][0]('') }}",
    "dict method": "{{ {'f':'{0.__class__}'.format}.f('') }}",
    "format splat": "{{ '{0.__class__}'.format(*['']) }}",
    "format_map ns": "{{ '{a.__class__}'.format_map(dict(a='')) }}",
    "macro pass method": (
        "{% macro m(f) %}{{ f('') }}{% endmacro %}{{ m('{0.__class__}'.format) }}"
    ),
    "call on cond": "{{ ('{0.__class__}'.format if messages else 'x'.format)('') }}",
    "with args": "{% with f='{0.__class__}'.format %}{{ f('') }}{% endwith %}",
    "for f": "{% for f in ['{0.__class__}'.format] %}{{ f('') }}{% endfor %}",
    "deep attr path": "{{ [{'a':''}]|map(attribute='a.__class__')|list }}",
    "str of class via type test": "{{ (''|string).__class__ }}",
    "autoescape set": (
        "{% autoescape true %}{% set k='__class__' %}{{ ''[k] }}{% endautoescape %}"
    ),
    "import ctx": ("{% set x %}{% block q %}__class__{% endblock %}{% endset %}{{ ''[x] }}"),
    "block def twice": "{% block q %}{% set z='__class__' %}{{ ''[z] }}{% endblock %}",
    "gen exhausted": "{% set g = ['__class__']|map('lower') %}{{ ''[g|first] }}",
    "loop else with break": (
        "{% for i in [1,2] %}{% if i==2 %}{{ ''['__cla'~'ss__'] }}{% break %}{% endif %}{% endfor "
        "%}"
    ),
    "continue skip": (
        "{% for i in ['a','__class__'] %}{% if i=='a' %}{% continue %}{% endif %}{{ ''[i] }}{% "
        "endfor %}"
    ),
    "reversed str slice": "{{ ''['__ssalc__'[::-1]|string] }}",
    "int keys": "{{ ''[{1:'__class__'}[1]] }}",
    "bool keys": "{{ ''[{true:'__class__'}[1]] }}",
    "tuple keys": "{{ ''[{(1,2):'__class__'}[(1,2)]] }}",
    "list mul": "{{ ''[(['_']*2)|join ~ 'class' ~ (['_']*2)|join] }}",
    "dict in dict": "{{ ''[{'a':{'b':'__class__'}}.a.b] }}",
    "**": "{{ ''[dict(**{'__class__':1})|first] }}",
    "kwargs map": "{{ ''[{'k':'__class__'}.get(*['k'])] }}",
    "dict pairs": "{{ ''[dict([('k','__class__')]).k] }}",
    "random": "{{ ''[['__class__']*3|random if false else ['__class__']|random] }}",
    "title": "{{ ''['__CLASS__'.title().lower()] }}",
    "casefold": "{{ ''['__CLA\u00df__'.casefold()] }}",
    "nfkc": "{{ ''['__class__'] }}{{ ''.__\uff43lass__ }}",
    "wordwrap": "{{ ''['__cla-ss__'|wordwrap(6,wrapstring='')|replace('-','')] }}",
    "indent": "{{ ''['class__'|indent('__',true)] }}",
    "striptags": "{{ ''['__<b>class</b>__'|striptags] }}",
    "default fn": "{{ ''[''|default('__class__',true)] }}",
    "batch const": "{{ ''[('__cla,ss__'.split(',')|batch(2)|first)|join] }}",
    "batch const fill": "{{ ''[(['a']|batch(2,'__class__')|first)[1]] }}",
    "unescape": "{{ ''['&#95;_class__'|striptags] }}",
    "dictsort by value": "{{ ''[({'a':'__class__'}|dictsort(by='value')|first)[1]] }}",
    "splitlines": "{{ ''['a\\n__class__'.splitlines()[1]] }}",
    "rpartition": "{{ ''['x.__class__'.rpartition('.')|last] }}",
    "str in data loop": (
        "{% for m in messages %}{% set k='__cla' %}{% set k=k~'ss__' %}{{ ''[k] }}{% endfor %}"
    ),
    "key from constant dict by data": (
        "{% for m in messages %}{{ m[{'user':'__class__'}[m.role]] }}{% endfor %}"
    ),
    "key from const dict get": (
        "{% for m in messages %}{{ m[{'user':'__class__'}.get(m.role)] }}{% endfor %}"
    ),
    "key from list data idx": "{{ messages[0][['a','__class__'][messages|length]] }}",
    "letters of const by data": "{{ messages['__class__'[:messages|length+100]] }}",
    "format data": "{{ messages['%s__' % ('__class',)] }}",
    "percent data": "{{ messages['__%s__' % messages[0].name] }}",
    "format data2": "{{ messages['__{}__'.format(messages[0].name)] }}",
    "data concat": "{{ messages['_'~'_'~messages[0].name~'__'] }}",
    "data upper": "{{ messages[('__CLASS__' if messages else messages[0].name)|lower] }}",
    "data max": "{{ messages[[messages[0].role,'__class__']|min] }}",
    "data sort": "{{ messages[[messages[0].role,'__class__']|sort|first] }}",
    "data join": "{{ messages[['__',messages[0].name,'__']|join] }}",
    "data list concat": "{{ messages[(['__class__'] + messages)[0]] }}",
    "data mult": "{{ messages[['__class__'] [messages|length - 1]] }}",
    "data slice": "{{ messages[['__class__'][:messages|length][0]] }}",
    "loop.cycle data": ("{% for m in messages %}{{ m[loop.cycle('__class__','x')] }}{% endfor %}"),
    "strftime": "{{ messages[strftime_now('__class__')] }}",
    "strftime2": "{{ messages[strftime_now('%A'|replace('%A','__class__'))] }}",
    "strftime var": "{% set f='__cla' %}{{ messages[strftime_now(f)~'ss__'] }}",
    "format in data alias2": ("{% set f = (messages + ['{0.__class__}'])[-1].format %}{{ f('') }}"),
    "keys minus": "{{ messages[({'__class__':1}.keys() - [])|first] }}",
    "gen send": "{% set g = ['__class__']|map('lower') %}{{ messages[g.send(none)] }}",
    "dict get key": "{% set d={'get':'x'} %}{{ messages[d.get('a','__class__')] }}",
    "alt set": (
        "{% set a=namespace(k='__class__') %}{% set b=namespace() %}{% set l = b if messages else "
        "a %}{% set l.k='role' %}{{ messages[a.k] }}"
    ),
    "unicode cond": (
        "{% if '\u1c8a'.islower() == 'x' %}{% else %}{{ ''['__cla'~'ss__'] }}{% endif %}"
    ),
    "int prop": "{{ messages[['role','__class__'][(1).real]] }}",
    "float int": "{{ messages[['role','__class__'][1.5|int]] }}",
    "round": "{{ messages[['role','__class__'][0.6|round|int]] }}",
    "nested data sel": (
        "{{ ''.join(['_','_','class','_','_'])|attr('x') }}{{ "
        "messages['_'.join(['','','class','',''])] }}"
    ),
    "loop in macro": (
        "{% macro m() %}{% for k in varargs %}{{ messages[k] }}{% endfor %}{% endmacro %}{{ "
        "m('__class__') }}"
    ),
    "macro via varargs fn": (
        "{% macro m() %}{{ messages[varargs[0]()] }}{% endmacro %}{% macro k() %}__class__{% "
        "endmacro %}{{ m(k) }}"
    ),
    "caller scope": (
        "{% macro o() %}{% set k='role' %}{{ caller() }}{% endmacro %}{% set k='__class__' %}{% "
        "call o() %}{{ messages[k] }}{% endcall %}"
    ),
    "with parallel": (
        "{% set a='__class__' %}{% with a='role', b=a %}{{ messages[b] }}{% endwith %}"
    ),
    "block set autoescape": "{% set k %}{{ '__class__'|e }}{% endset %}{{ messages[k] }}",
    "whitespace ctl": "{% set k -%} __class__ {%- endset %}{{ messages[k] }}",
    "raw in set": ("{% set k %}{% raw %}__class__{% endraw %}{% endset %}{{ messages[k] }}"),
    "comment in set": "{% set k %}__cla{# x #}ss__{% endset %}{{ messages[k] }}",
    "if in set": (
        "{% set k %}{% if messages %}__class__{% else %}role{% endif %}{% endset %}{{ messages[k] "
        "}}"
    ),
    "for in set": (
        "{% set k %}{% for c in ['__','class','__'] %}{{ c }}{% endfor %}{% endset %}{{ "
        "messages[k] }}"
    ),
    "data for in set": (
        "{% set k %}{% for m in messages %}__class__{% endfor %}{% endset %}{{ messages[k] }}"
    ),
    "dict comparison": "{% if {'a':1} == {'a':1} %}{{ ''['__cla'~'ss__'] }}{% endif %}",
    "in dict": "{% if 'a' in {'a':1} %}{{ ''['__cla'~'ss__'] }}{% endif %}",
    "in str": "{% if 'a' in 'abc' %}{{ ''['__cla'~'ss__'] }}{% endif %}",
    "empty join": "{{ messages[''.join([])~'__class__'] }}",
    "str(list) pick": "{% set s = [1]|string %}{{ messages['__class__'[s|length-3:]] }}",
    "dict in": ("{% for k in {'a':'__class__'}.values()|list %}{{ messages[k] }}{% endfor %}"),
    "map string join": ("{{ messages[[1,2]|map('string')|join|replace('12','__class__')] }}"),
    "range join": "{{ messages[range(3)|join|replace('012','__class__')] }}",
    "is in": "{% if 1 is in [1] %}{{ ''['__cla'~'ss__'] }}{% endif %}",
    "divisibleby": "{% if 4 is divisibleby 2 %}{{ ''['__cla'~'ss__'] }}{% endif %}",
    "kw attr": "{{ ['']|map(attribute='__cl' ~ 'ass__')|first }}",
    "groupby path": "{{ [{'a':''}]|groupby('a.__class__')|first|first }}",
    "format kw": "{{ messages['{a}{b}'.format(a='__cla', b='ss__')] }}",
    "format kw splat": "{{ messages['{a}{b}'.format(**{'a':'__cla','b':'ss__'})] }}",
    "percent tuple var": "{% set t=('__cla','ss__') %}{{ messages['%s%s' % t] }}",
    "percent dict var": "{% set t={'a':'__class__'} %}{{ messages['%(a)s' % t] }}",
    "str mult zero": "{{ messages['x'*0 ~ '__class__'] }}",
    "complex5": ("{{ messages['%c%c%c%c%c%c%c%c%c'|format(95,95,99,108,97,115,115,95,95)] }}"),
    "complex6": (
        "{% macro u(n) %}{{ '_' * n }}{% endmacro %}{{ messages[u(2) ~ 'class' ~ u(2)] }}"
    ),
    "data number char": ("{{ messages['%c'|format(messages|length + 94) * 2 ~ 'class__'] }}"),
    "data number char2": ("{{ messages['%c%cclass%c%c' % (messages|length + 94, 95,95,95)] }}"),
    "data index letters": (
        "{% set abc='_abc' %}{{ messages[abc[messages|length - 1] * 2 ~ 'class__'] }}"
    ),
    "data all": (
        "{% set abc='_class' %}{% set u = abc[messages|length-1] %}{{ messages[u~u~'class'~u~u] }}"
    ),
    "data slice letters": "{{ messages['x__class__'[messages|length:]] }}",
    "data pad": "{{ messages['class'.center(messages|length + 8,'_')] }}",
    "attr underscore only": "{{ messages|attr('_' * 2 ~ 'class__') }}",
}
"""Names that constants spell."""
