"""Chat templates for tests that are expensive to parse or to follow."""

__all__ = ["HOSTILE"]

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
