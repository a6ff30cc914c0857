"""Idioms of honest chat templates for tests, and plain data to render them with."""

__all__ = ["DATA", "HONEST"]

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
    "{% if loop.last and add_generation_prompt %}\n{{ '<|assistant|>' }}\n{% endif %}\n"
    "{% endfor %}",
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
    "{%- set tool = tool.function %}{{- 'def ' + tool.name + '(' }}{%- for param_name, "
    "param_fields in tool.parameters.properties|items %}{{- param_name + ': ' }}"
    "{%- if not param_name in tool.parameters.required %}{{- 'Optional[' + "
    "json_to_python_type(param_fields) + '] = None' }}"
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
    "sorted keys": "{% for tool in tools %}{% for key in tool.function.keys()|list|sort %}"
    "{{ key }}="
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
