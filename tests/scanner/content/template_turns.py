"""Escapes for tests: what changes meanwhile, and what is read later."""

__all__ = ["BY_CHANGE"]

BY_CHANGE = {
    "shared cell": (
        "{% set ns=namespace() %}{% for i in [1,2] %}{% if i==1 %}{% set k='role' %}{% macro m() "
        "%}{{ ''[k] }}{% endmacro %}{% set ns.m = m %}{% else %}{% set k='__class__' %}{{ ns.m() "
        "}}{% endif %}{% endfor %}"
    ),
    "sibling cell": (
        "{% set ns=namespace() %}{% for i in [1] %}{% set k='role' %}{% macro m() %}{{ ''[k] }}{% "
        "endmacro %}{% set ns.m = m %}{% endfor %}{% for i in [1] %}{% set k='__class__' %}{{ "
        "ns.m() }}{% endfor %}"
    ),
    "list pop": "{% set l=['__class__'] %}{{ ''[l.pop()] }}",
    "dict popitem": "{{ ''[{'__class__':1}.popitem()[0]] }}",
    "setdefault": "{% set d={} %}{{ ''[d.setdefault('a','__class__')] }}",
    "messages append": (
        "{% set x = messages.append({'role':'__class__'}) %}{{ messages[messages[-1].role] }}"
    ),
    "messages update": (
        "{% set x = messages[0].update({'role':'__class__'}) %}{{ messages[messages[0].role] }}"
    ),
    "messages setdefault": (
        "{% set x = messages[0].setdefault('zz','__class__') %}{{ messages[messages[0].zz] }}"
    ),
    "messages insert": ("{% set x = messages.insert(0,'__class__') %}{{ messages[messages[0]] }}"),
    "cond by data alias list": (
        "{% set l=['role'] %}{% if messages %}{% set q = l.append('__class__') %}{% endif %}{{ "
        "messages[l[-1]] }}"
    ),
    "ns via macro": (
        "{% set ns=namespace(a='role') %}{% macro m(n) %}{% set n.a='__class__' %}{% endmacro %}{{ "
        "m(ns) }}{{ ''[ns.a] }}"
    ),
    "dict via macro": (
        "{% set d={} %}{% macro m(n) %}{% set _=n.update({'a':'__class__'}) %}{% endmacro %}{{ "
        "m(d) }}{{ ''[d.a] }}"
    ),
    "ns f": "{% set ns=namespace(f='{0.__class__}'.format) %}{{ ns.f('') }}",
    "do": "{% set d={} %}{% do d.update(k='__class__') %}{{ ''[d.k] }}",
    "ns nested loop": (
        "{% set ns=namespace(k='') %}{% for a in ['__cla'] %}{% for b in ['ss__'] %}{% set "
        "ns.k=a~b %}{% endfor %}{% endfor %}{{ ''[ns.k] }}"
    ),
    "ns in data loop, list": (
        "{% set l=[] %}{% for m in messages %}{% set _=l.append('__cla') %}{% set "
        "_=l.append('ss__') %}{% endfor %}{{ ''[l|join] }}"
    ),
    "format in data": (
        "{% set _ = messages.append('{0.__class__}') %}{{ messages[-1].format('') }}"
    ),
    "format in data alias": (
        "{% set _ = messages.append('{0.__class__}') %}{% set f = messages[-1].format %}{{ f('') }}"
    ),
    "const into data in loop": (
        "{% for m in messages %}{% set _ = m.update(k='__class__') %}{{ m[m.k] }}{% endfor %}"
    ),
    "const into data macro": (
        "{% macro p(l) %}{% set _ = l.append('__class__') %}{% endmacro %}{{ p(messages) }}{{ "
        "messages[messages[-1]] }}"
    ),
    "const into data extend": (
        "{% set _ = messages.extend(['__class__']) %}{{ messages[messages[-1]] }}"
    ),
    "const into data alias": (
        "{% set a = messages.append %}{% set _ = a('__class__') %}{{ messages[messages[-1]] }}"
    ),
    "const into data attr": (
        "{% set _ = (messages|attr('append'))('__class__') %}{{ messages[messages[-1]] }}"
    ),
    "const into data map": (
        "{% set _ = (messages|map(attribute='setdefault')|first)('k','__class__') %}{{ "
        "messages[messages[0].k] }}"
    ),
    "const into data popped": (
        "{% set d = messages.pop() %}{% set _ = d.update(k='__class__') %}{{ d[d.k] }}"
    ),
    "const into tools or": (
        "{% set l = tools or [] %}{% set _ = l.append('__class__') %}{{ messages[l[-1]] }}"
    ),
    "const into copy": (
        "{% set l = messages[:] %}{% set _ = l.append('__class__') %}{{ messages[l[-1]] }}"
    ),
    "const into list filter": (
        "{% set l = messages|list %}{% set _ = l.append('__class__') %}{{ messages[l[-1]] }}"
    ),
    "dyn kwargs": (
        "{% macro m(k) %}{{ messages[k] }}{% endmacro %}{% set d={} %}{% if messages %}{% set "
        "_=d.update(k='__class__') %}{% endif %}{{ m(**d) }}"
    ),
    "dyn args": (
        "{% macro m(a,b,c,d,e) %}{{ messages[e] }}{% endmacro %}{% set l=['','','',''] %}{% if "
        "messages %}{% set _=l.append('__class__') %}{% endif %}{{ m(*l) }}"
    ),
    "alt pop": (
        "{% set a=['__class__'] %}{% set b=['x'] %}{% set l = b if messages else a %}{% set "
        "_=l.pop() %}{{ messages[a[0]] }}"
    ),
    "alt pop2": (
        "{% set a=['__class__'] %}{% set b=['x'] %}{% set l = b if messages else a %}{% set "
        "f=l.pop %}{% set _=f() %}{{ messages[a[0]] }}"
    ),
    "alt clear": (
        "{% set a={'k':'__class__'} %}{% set b={} %}{% set l = b if messages else a %}{% set "
        "_=l.clear() %}{{ messages[a.k] }}"
    ),
    "alt update": (
        "{% set a={'k':'__class__'} %}{% set b={} %}{% set l = b if messages else a %}{% set "
        "_=l.update(k='role') %}{{ messages[a.k] }}"
    ),
    "list pop in if": (
        "{% set a=['__class__'] %}{% if not messages %}{% set _=a.pop() %}{% endif %}{{ "
        "messages[a[0]] }}"
    ),
    "list pop in data loop": (
        "{% set a=['__class__'] %}{% for t in tools or [] %}{% set _=a.pop() %}{% endfor %}{{ "
        "messages[a[0]] }}"
    ),
    "dict clear in macro": (
        "{% set a={'k':'__class__'} %}{% macro m() %}{% set _=a.clear() %}{% endmacro %}{% if not "
        "messages %}{{ m() }}{% endif %}{{ messages[a.k] }}"
    ),
    "cond expr call": (
        "{% set a=['__class__'] %}{% set _ = a.pop() if not messages else 1 %}{{ messages[a[0]] }}"
    ),
    "or call": ("{% set a=['__class__'] %}{% set _ = messages or a.pop() %}{{ messages[a[0]] }}"),
    "and call": ("{% set a=['__class__'] %}{% set _ = nothing and a.pop() %}{{ messages[a[0]] }}"),
    "or clear dict": (
        "{% set a={'k':'__class__'} %}{% set _ = messages or a.clear() %}{{ messages[a.k] }}"
    ),
    "loop test pop": (
        "{% set a=['__class__'] %}{% for m in messages if nothing and a.pop() %}{% endfor %}{{ "
        "messages[a[0]] }}"
    ),
    "and update": (
        "{% set a={'k':'__class__'} %}{% set _ = nothing and a.update(k='role') %}{{ messages[a.k] "
        "}}"
    ),
    "or insert": (
        "{% set a=['__class__'] %}{% set _ = messages or a.insert(0,'role') %}{{ messages[a[0]] }}"
    ),
    "condexpr insert": (
        "{% set a=['__class__'] %}{% set _ = 1 if messages else a.insert(0,'role') %}{{ "
        "messages[a[0]] }}"
    ),
    "condexpr reverse": (
        "{% set a=['__class__','role'] %}{% set _ = 1 if messages else a.reverse() %}{{ "
        "messages[a[0]] }}"
    ),
    "macro cond state": (
        "{% set ns=namespace(k='__class__') %}{% macro m() %}{% set ns.k='role' %}{% endmacro %}{% "
        "set _ = messages or m() %}{{ messages[ns.k] }}"
    ),
    "compare short": (
        "{% set a=['__class__'] %}{% set _ = 1 < 0 < a.pop()|length %}{{ messages[a[0]] }}"
    ),
    "map lazy": (
        "{% set a=['__class__'] %}{% set g = [a]|map(attribute='pop') %}{{ messages[a[0]] }}"
    ),
    "lazy map filter": (
        "{% set l=['role'] %}{% set g = l|map('lower') %}{% set _ = l.append('__class__') %}{{ "
        "messages[g|last if false else g|list|last] }}"
    ),
    "lazy select": (
        "{% set l=['role'] %}{% set g = l|select %}{% set _ = l.append('__class__') %}{{ "
        "messages[(g|list)[1]] }}"
    ),
    "lazy reverse": (
        "{% set l=['role','a'] %}{% set g = l|reverse %}{% set _ = l.insert(0,'__class__') %}{{ "
        "messages[(g|list)[1]] }}"
    ),
    "lazy keys": (
        "{% set d={} %}{% set g = d.keys() %}{% set _ = d.update(__class__=1) %}{{ "
        "messages[g|first] }}"
    ),
    "lazy values": (
        "{% set d={} %}{% set g = d.values() %}{% set _ = d.update(a='__class__') %}{{ "
        "messages[g|first] }}"
    ),
    "lazy items": (
        "{% set d={} %}{% set g = d.items() %}{% set _ = d.update(a='__class__') %}{{ "
        "messages[(g|first)[1]] }}"
    ),
    "lazy items filter": (
        "{% set d={} %}{% set g = d|items %}{% set _ = d.update(a='__class__') %}{{ "
        "messages[(g|first)[1]] }}"
    ),
    "for while mutate": (
        "{% set l=['a'] %}{% for x in l %}{% if loop.index0 == 0 %}{% set _=l.append('__class__') "
        "%}{% endif %}{{ messages[x] }}{% endfor %}"
    ),
    "lazy batch": (
        "{% set l=['role'] %}{% set g = l|batch(1) %}{% set _ = l.append('__class__') %}{{ "
        "messages[(g|list)[1][0]] }}"
    ),
    "lazy unique": (
        "{% set l=['role'] %}{% set g = l|unique %}{% set _ = l.append('__class__') %}{{ "
        "messages[(g|list)[1]] }}"
    ),
    "lazy rejectattr": (
        "{% set l=['role'] %}{% set g = l|rejectattr('zz') %}{% set _ = l.append('__class__') %}{{ "
        "messages[(g|list)[1]] }}"
    ),
    "lazy map attribute": (
        "{% set l=[{'a':'role'}] %}{% set g = l|map(attribute='a') %}{% set _ = "
        "l.append({'a':'__class__'}) %}{{ messages[(g|list)[1]] }}"
    ),
    "shared inner list": (
        "{% set a=['role'] %}{% set b=[a] %}{% set _=a.append('__class__') %}{{ messages[b[0][1]] "
        "}}"
    ),
    "shared via plus": (
        "{% set a=['role'] %}{% set b=[a]+[] %}{% set _=a.append('__class__') %}{{ "
        "messages[b[0][1]] }}"
    ),
    "shared via slice": (
        "{% set a=['role'] %}{% set b=[a][:] %}{% set _=b[0].append('__class__') %}{{ "
        "messages[a[1]] }}"
    ),
    "shared via list filter": (
        "{% set a=['role'] %}{% set b=[a]|list %}{% set _=b[0].append('__class__') %}{{ "
        "messages[a[1]] }}"
    ),
    "shared via batch": (
        "{% set a=['role'] %}{% set b=[a]|batch(1)|first %}{% set _=b[0].append('__class__') %}{{ "
        "messages[a[1]] }}"
    ),
    "shared via sort": (
        "{% set a=['role'] %}{% set b=[a]|sort %}{% set _=b[0].append('__class__') %}{{ "
        "messages[a[1]] }}"
    ),
    "shared via unique": (
        "{% set a={'k':'role'} %}{% set b=[a]|sort(attribute='k') %}{% set "
        "_=b[0].update(k='__class__') %}{{ messages[a.k] }}"
    ),
    "shared via max": (
        "{% set a=['role'] %}{% set b=[a]|max %}{% set _=b.append('__class__') %}{{ messages[a[1]] "
        "}}"
    ),
    "shared via sum": (
        "{% set a=['role'] %}{% set b=[[a]]|sum(start=[]) %}{% set _=b[0].append('__class__') %}{{ "
        "messages[a[1]] }}"
    ),
    "sum start itself": (
        "{% set a=['role'] %}{% set b=[]|sum(start=a) %}{% set _=b.append('__class__') %}{{ "
        "messages[a[1]] }}"
    ),
    "shared via dict copy": (
        "{% set a=['role'] %}{% set b={'x':a}.copy() %}{% set _=b.x.append('__class__') %}{{ "
        "messages[a[1]] }}"
    ),
    "shared via dict()": (
        "{% set a=['role'] %}{% set b=dict({'x':a}) %}{% set _=b.x.append('__class__') %}{{ "
        "messages[a[1]] }}"
    ),
    "shared via items": (
        "{% set a=['role'] %}{% for k,v in {'x':a}.items() %}{% set _=v.append('__class__') %}{% "
        "endfor %}{{ messages[a[1]] }}"
    ),
    "shared via dictsort": (
        "{% set a=['role'] %}{% for k,v in {'x':a}|dictsort %}{% set _=v.append('__class__') %}{% "
        "endfor %}{{ messages[a[1]] }}"
    ),
    "shared via groupby": (
        "{% set a={'k':'x','l':['role']} %}{% for k,v in [a]|groupby('k') %}{% set "
        "_=v[0].update(z='__class__') %}{% endfor %}{{ messages[a.z] }}"
    ),
    "shared via random": (
        "{% set a=['role'] %}{% set _=([a]|random).append('__class__') %}{{ messages[a[1]] }}"
    ),
    "shared via select": (
        "{% set a=['role'] %}{% set _=([a]|select|first).append('__class__') %}{{ messages[a[1]] }}"
    ),
    "shared via default": (
        "{% set a=['role'] %}{% set _=(nothing|default(a)).append('__class__') %}{{ messages[a[1]] "
        "}}"
    ),
    "shared via get": (
        "{% set a=['role'] %}{% set _=({}.get('x',a)).append('__class__') %}{{ messages[a[1]] }}"
    ),
    "shared via setdefault": (
        "{% set d={} %}{% set _=d.setdefault('k',[]).append('__class__') %}{{ messages[d.k[0]] }}"
    ),
    "shared via ns": (
        "{% set a=['role'] %}{% set ns=namespace(x=a) %}{% set _=ns.x.append('__class__') %}{{ "
        "messages[a[1]] }}"
    ),
    "shared via tuple": (
        "{% set a=['role'] %}{% set _=(a,1)[0].append('__class__') %}{{ messages[a[1]] }}"
    ),
    "shared via data": (
        "{% set a=['role'] %}{% set _=messages.append(a) %}{% set "
        "_=messages[-1].append('__class__') %}{{ messages[a[1]] }}"
    ),
    "shared via data2": (
        "{% set a=['role'] %}{% set _=(messages + [a])[-1].append('__class__') %}{{ messages[a[1]] "
        "}}"
    ),
    "shared via computed": (
        "{% set a={'k':'role'} %}{% for x in (messages + [a]) %}{% set _=x.update(k='__class__') "
        "%}{% endfor %}{{ messages[a.k] }}"
    ),
    "shared via raise": (
        "{% set a=['role'] %}{% for x in [a]|reverse %}{% set _=x.append('__class__') %}{% endfor "
        "%}{{ messages[a[1]] }}"
    ),
    "shared via cycle": (
        "{% set a=['role'] %}{% for x in [1] %}{% set _=loop.cycle(a).append('__class__') %}{% "
        "endfor %}{{ messages[a[1]] }}"
    ),
    "shared via map attr": (
        "{% set a=['role'] %}{% for x in [{'k':a}]|map(attribute='k') %}{% set "
        "_=x.append('__class__') %}{% endfor %}{{ messages[a[1]] }}"
    ),
    "shared via slice f": (
        "{% set a=['role'] %}{% for x in [a]|slice(1) %}{% set _=x[0].append('__class__') %}{% "
        "endfor %}{{ messages[a[1]] }}"
    ),
    "shared via min": (
        "{% set a=['role'] %}{% set _=([a,['z']]|min).append('__class__') %}{{ messages[a[1]] }}"
    ),
    "shared via dict values sort": (
        "{% set a=['role'] %}{% set _=({'q':a}.values()|sort|first).append('__class__') %}{{ "
        "messages[a[1]] }}"
    ),
    "shared copy()": (
        "{% set a=[['role']] %}{% set _=a.copy()[0].append('__class__') %}{{ messages[a[0][1]] }}"
    ),
    "shared update": (
        "{% set a=['role'] %}{% set d={} %}{% set _=d.update({'k':a}) %}{% set "
        "_=d.k.append('__class__') %}{{ messages[a[1]] }}"
    ),
    "shared fromkeys": (
        "{% set a=['role'] %}{% set d={}.fromkeys(['k'],a) %}{% set _=d.k.append('__class__') %}{{ "
        "messages[a[1]] }}"
    ),
    "shared join loop": (
        "{% set a=['role'] %}{% for q in messages %}{% set _=a.append('__class__') %}{% endfor "
        "%}{{ messages[a[-1]] }}"
    ),
    "late in loop": (
        "{% set ns=namespace(l=['role']) %}{% for q in messages+messages %}{{ messages[ns.l[-1]] "
        "}}{% set ns.l = ns.l + ['__class__'] %}{% endfor %}"
    ),
    "list extend gen": (
        "{% set a=[] %}{% set _=a.extend(['__CLASS__']|map('lower')) %}{{ messages[a[0]] }}"
    ),
    "recursive loop append": (
        "{% set l=['role'] %}{% for x in l recursive %}{{ messages[x] }}{% if loop.depth==1 %}{{ "
        "loop(['__class__']) }}{% endif %}{% endfor %}"
    ),
    "data if set append": (
        "{% set k %}__cla{% if messages %}ss__{% endif %}{% endset %}{{ messages[k] }}"
    ),
    "complex": (
        "{% set ns=namespace(s='') %}{% for c in [95,95,99,108,97,115,115,95,95] %}{% set ns.s = "
        "ns.s ~ '%c'|format(c) %}{% endfor %}{{ messages[ns.s] }}"
    ),
    "complex2": (
        "{% set abc='abcdefghijklmnopqrstuvwxyz_' %}{% set ns=namespace(s='') %}{% for i in "
        "[26,26,2,11,0,18,18,26,26] %}{% set ns.s = ns.s ~ abc[i] %}{% endfor %}{{ messages[ns.s] "
        "}}"
    ),
    "complex3": (
        "{% set abc='abcdefghijklmnopqrstuvwxyz_' %}{% set ns=namespace(s='') %}{% for i in '26 26 "
        "2 11 0 18 18 26 26'.split() %}{% set ns.s = ns.s ~ abc[i|int] %}{% endfor %}{{ "
        "messages[ns.s] }}"
    ),
    "complex4": (
        "{% set l=[] %}{% for i in range(95,96) %}{% set _=l.append('%c'%i) %}{% endfor %}{{ "
        "messages[l[0]*2 ~ 'class' ~ l[0]*2] }}"
    ),
    "ns attr": ("{% set ns = namespace(a='__cla') %}{% set ns.a = ns.a ~ 'ss__' %}{{ ''[ns.a] }}"),
    "ns items": "{{ ''|attr(namespace(a='__class__').a) }}",
    "data loop cond": (
        "{% set ns = namespace(n=0) %}{% for m in messages %}{% set ns.n = ns.n + 1 %}{% endfor "
        "%}{{ ''[['x','__class__'][ns.n]] }}"
    ),
    "data loop while": (
        "{% set ns = namespace(s='') %}{% for m in messages %}{% set ns.s = ns.s ~ '__class__' "
        "%}{% endfor %}{{ ''[ns.s] }}"
    ),
    "ns via list": (
        "{% set l=[namespace(a='role')] %}{% set ns=l[0] %}{% set ns.a='__class__' %}{{ ''[l[0].a] "
        "}}"
    ),
    "ns**": "{{ ''[namespace(**{'k':'__class__'}).k] }}",
    "namespace dict": "{{ ''[namespace([('k','__class__')]).k] }}",
    "items of ns": "{{ messages[(namespace(a='__class__')|attr('a'))] }}",
}
"""Names that are in a list, a dict, a namespace or in data after a change."""
