"""Names that people write for licences, beside the identifiers of the SPDX list.

Three tables of data, read by `scanner.content.license_spelling`. A name is compared without case,
punctuation and filler words (the, licence, version), so one entry stands for many spellings. The
names of SPDX identifiers are those of the SPDX License List; the identifiers of model licences are
those of the Hugging Face Hub, or what their publishers' cards state as ``license_name``.
"""

from typing import Final

__all__ = ["FAMILY_NAMES", "LICENSE_NAMES", "MODEL_LICENSES"]

FAMILY_NAMES: Final = {
    "AFL": "academic free",
    "Apache": "apache software; apache public; apache software foundation; asl",
    "APSL": "apple public source",
    "Artistic": "artistic",
    "BUSL": "business source",
    "CC0": "cc zero; cc0 universal; cc zero universal; cc cc0 public domain dedication",
    "CDDL": "common development and distribution",
    "CDLA-Permissive": "community data permissive; community data license agreement permissive",
    "CDLA-Sharing": "community data sharing; community data license agreement sharing",
    "CECILL": "cecill free software",
    "CPAL": "common public attribution",
    "CPL": "common public",
    "C-UDA": "computational use of data",
    "DL-DE-BY": "data licence germany attribution; datenlizenz deutschland namensnennung",
    "DL-DE-ZERO": "data licence germany zero; datenlizenz deutschland zero",
    "ECL": "educational community",
    "Elastic": "elastic; elv",
    "EPL": "eclipse public",
    "etalab": "etalab open; licence ouverte",
    "EUPL": "european union public; eu public",
    "Hippocratic": "hippocratic",
    "IPL": "ibm public",
    "LPPL": "latex project public",
    "MPL": "mozilla public; mozilla",
    "MulanPSL": "mulan permissive software; mulan psl",
    "ODbL": "open data commons open database; open database; odc odbl",
    "ODC-By": "open data commons attribution; odc attribution",
    "OFL": "sil open font; open font; sil ofl",
    "OGL-UK": "open government; uk open government",
    "OpenMDW": "openmdw; open model data and weights",
    "OSL": "open software",
    "Parity": "parity public",
    "PDDL": "open data commons public domain dedication and; odc pddl",
    "PolyForm-Noncommercial": "polyform noncommercial; polyform non commercial; polyform nc",
    "PolyForm-Small-Business": "polyform small business",
    "PSF": "python software foundation",
    "SSPL": "server side public",
    "UPL": "universal permissive",
}
"""Names of SPDX licences that have versions, by identifier without the version."""

LICENSE_NAMES: Final = {
    "0BSD": "bsd zero clause; zero clause bsd; bsd 0 clause; 0 clause bsd",
    "AGPL-1.0-only": "affero general public 1.0",
    "Apache-2.0": "apache; apache software; apache license; asf; apl 2.0",
    "Beerware": "beer ware; beerware",
    "BlueOak-1.0.0": "blue oak model",
    "BSD-1-Clause": "bsd one clause; 1 clause bsd",
    "BSD-2-Clause": (
        "bsd 2 clause simplified; simplified bsd; bsd simplified; 2 clause bsd; two clause bsd; "
        "bsd two clause; bsd 2; freebsd; bsd 2 clauses"
    ),
    "BSD-3-Clause": (
        "bsd 3 clause new or revised; bsd 3 clause new; bsd 3 clause revised; 3 clause bsd; "
        "three clause bsd; bsd three clause; new bsd; revised bsd; modified bsd; bsd new; bsd 3; "
        "bsd revised; new or revised bsd; bsd 3 clauses; bsd modified"
    ),
    "BSD-3-Clause-Clear": "clear bsd; bsd clear; bsd 3 clause clear",
    "BSD-4-Clause": "bsd 4 clause original or old; original bsd; old bsd; 4 clause bsd; bsd 4",
    "BSL-1.0": "boost software; boost; boost software 1.0; bsl 1.0",
    "BUSL-1.1": "bsl 1.1",
    "CC-PDDC": "cc public domain dedication and certification",
    "CC-PDM-1.0": "cc public domain mark; public domain mark 1.0; cc public domain mark 1.0",
    "CC0-1.0": "cc0; cc zero; cc public domain dedication; cc0 public domain dedication",
    "CECILL-B": "cecill b free software",
    "CECILL-C": "cecill c free software",
    "curl": "curl",
    "NGPL": "nethack general public",
    "SMAIL-GPL": "smail general public",
    "ISC": "isc; internet systems consortium",
    "JSON": "json",
    "LGPLLR": "lgpl lr; lesser general public for linguistic resources; lgpl for linguistic",
    "MIT": "mit; expat; mit expat; expat mit; mit x; massachusetts institute of technology",
    "MIT-0": "mit no attribution; mit 0; mit zero",
    "MIT-CMU": "cmu mit",
    "MS-LPL": "microsoft limited public",
    "MS-PL": "microsoft public",
    "MS-RL": "microsoft reciprocal",
    "MPL-2.0-no-copyleft-exception": "mozilla public 2.0 no copyleft exception",
    "NCGL-UK-2.0": "noncommercial government; non commercial government; ncgl",
    "NCSA": "university of illinois ncsa open source; ncsa open source; uiuc",
    "ODC-By-1.0": "odc by",
    "PDDL-1.0": "pddl; open data commons public domain dedication",
    "PostgreSQL": "postgres",
    "Python-2.0": "python 2.0",
    "Unlicense": "unlicense; the unlicense; unlicence",
    "WTFPL": "do what the f*ck you want to public; do what the fuck you want to public; wtfpl 2.0",
    "X11": "x11; x11 mit",
    "Zlib": "zlib; zlib libpng",
    "ZPL-2.1": "zope public 2.1",
}
"""Names of single SPDX licences."""

MODEL_LICENSES: Final = {
    "ai2-impact-license-low-risk": "ai2 impact low risk; ai2 impact lr",
    "ai2-impact-license-medium-risk": "ai2 impact medium risk; ai2 impact mr",
    "apple-amlr": "apple amlr; apple machine learning research model",
    "apple-ascl": "apple ascl; apple sample code",
    "baichuan-2": "baichuan 2 community; baichuan2 community; baichuan 2",
    "bigcode-openrail-m": "bigcode open rail m; bigcode openrail m 1; bigcode openrail",
    "bigscience-bloom-rail-1.0": (
        "bigscience bloom rail; bigscience rail 1.0; bloom rail 1.0; bigscience bloom rail 1.0; "
        "bigscience rail; bigscience responsible ai"
    ),
    "bigscience-openrail-m": "bigscience open rail m; bigscience openrail",
    "bria-license": "bria; bria ai",
    "bsl": "bsl",
    "cc": "cc",
    "chatglm": "chatglm; chatglm2 6b; chatglm3 6b; glm 4; glm 4 9b",
    "cogvideox": "cogvideox",
    "creativeml-openrail-m": (
        "creativeml open rail m; creativeml openrail; creative ml open rail m; openrail m; "
        "open rail m; creative ml openrail m; creativeml open rail"
    ),
    "databricks-open-model-license": "databricks open model; dbrx",
    "deepfloyd-if-license": "deepfloyd if; deepfloyd if research",
    "deepseek": "deepseek; deepseek model; deepseek license agreement; deepseek la 1.0",
    "dinov3-license": "dinov3; dino3",
    "exaone": "exaone; exaone ai model; exaone ai model nc; exaone ai model 1.1 nc",
    "fair-noncommercial-research-license": (
        "fair noncommercial research; fair non commercial research; fair nc research"
    ),
    "falcon-llm-license": "falcon llm; tii falcon; falcon 2; tii falcon llm; falcon 180b tii",
    "flux-1-dev-non-commercial-license": (
        "flux 1 dev noncommercial; flux1 dev noncommercial; flux dev noncommercial; flux.1 dev "
        "noncommercial; flux 1.dev noncommercial; flux 1 nc; flux noncommercial; flux 1 dev"
    ),
    "gemma": "gemma; gemma terms of use; google gemma; gemma terms; gemma 2; gemma 3; gemma 1",
    "grok2-community": "grok2 community; grok 2 community; xai grok 2 community",
    "h-research": "h research",
    "health-ai-developer-foundations": "health ai developer foundations terms of use; hai def",
    "intel-research": "intel research; intel research use",
    "internlm": "internlm",
    "jamba-open-model-license": "jamba open model; jamba",
    "lfm1.0": "lfm 1.0; lfm open; lfm open 1.0",
    "lgpl-lr": "lgpl lr",
    "minimax": "minimax model; minimax community; minimax open model",
    "mnpl-0.1": "mnpl; mistral ai nonproduction; mistral ai non production; mistral non production",
    "modified-mit": "modified mit; mit modified",
    "mrl-0.1": "mrl; mistral ai research; mistral research; mistral ai research mrl",
    "msrla": "microsoft research; msrla; msr la; microsoft research license agreement",
    "nvidia-open-model-license": "nvidia open model; nvidia open models",
    "nvidia-source-code-license": "nvidia source code; nscl; nvidia source code nc; nscl 1",
    "openrail": "openrail; open rail; rail; responsible ai; open responsible ai",
    "openrail-plus-plus": (
        "openrail++; openrail++ m; creativeml open rail++ m; creativeml openrail++ m; "
        "open rail++ m; open rail++; creativeml openrail++"
    ),
    "playground-v2-community": "playground 2 community; playground v2.5 community",
    "public-domain": "public domain; publicdomain",
    "qwen": "qwen; tongyi qianwen; qianwen; qwen license agreement",
    "qwen-research": "qwen research; tongyi qianwen research",
    "sam-license": "sam license; sam 2",
    "stabilityai-ai-community": (
        "stability ai community; stabilityai community; stabilityai ai community"
    ),
    "stabilityai-nc-research-community": (
        "stability ai noncommercial research community; stabilityai nc research community; "
        "stable noncommercial research community; stability ai noncommercial research; "
        "stability ai noncommercial; sdxl turbo; stabilityai noncommercial"
    ),
    "tencent-hunyuan-community": "tencent hunyuan community; tencent hunyuan; hunyuan community",
    "yi-license": "yi; yi series models; yi series models community",
}
"""Names of licences without an SPDX identifier; they become ``LicenseRef-`` and the identifier."""
