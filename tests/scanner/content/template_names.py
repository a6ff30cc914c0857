"""Chat templates for tests that use what none needs, or a name that is not decided."""

__all__ = ["REFUSED_BY_NAME", "UNDECIDED"]

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
    "dict as a value": "{% set d = dict %}{{ d.fromkeys(['a']) }}",
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
