"""Words by which groups of people are named, in English; far from all of them.

Peoples and where they come from, religions, gender, orientation, disability, age, migrants. Slurs are written
so that none is legible to somebody who leafs through the file.
"""

from __future__ import annotations

import re


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_NAMES = _words("""
woman women female girl feminist lady ladies men transwoman transwomen transman transmen transsexual
transgender transvestite nonbinary intersex gay lesbian bisexual homosexual queer lgbt lgbtq lgbtqia
jew jewish muslim moslem islam islamic islamist christian catholic protestant mormon evangelical
hindu sikh buddhist atheist pagan shia sunni hasidic
african african-american negro caucasian asian arab arabic persian hispanic latino latina latinx chicano
aborigine aboriginal indigenous indian inuit maori cherokee navajo apache sioux gypsy gypsies roma romani
european american mexican canadian brazilian colombian venezuelan cuban haitian jamaican guatemalan honduran
salvadoran peruvian argentinian chilean bolivian ecuadorian dominican rican
english british briton irish scottish welsh french frenchman frenchmen german italian spanish spaniard
portuguese greek dutch belgian swiss austrian russian ukrainian hungarian romanian bulgarian serb serbian
croat croatian bosnian albanian turk turkish kurd kurdish czech slovak swede swedish norwegian danish
chinese japanese korean vietnamese thai filipino filipina malaysian indonesian cambodian burmese rohingya
mongolian tibetan uyghur uighur pakistani bangladeshi nepali afghan iranian iraqi syrian lebanese palestinian
israeli saudi yemeni egyptian moroccan algerian tunisian libyan sudanese somali ethiopian eritrean nigerian
ghanaian kenyan ugandan rwandan congolese zimbabwean australian
immigrant migrant refugee foreigner cripple paraplegic quadriplegic amputee schizophrenic minority minorities
""")
# On their own; singulars and plurals.
NAMES = frozenset(name for word in _NAMES for name in (word, f"{word}s", f"{word}es"))
NAMES |= _words("blacks whites browns latins natives")
# Colours, states and illnesses, which name a group before a word for people.
ADJECTIVES = _words("""
black white brown yellow coloured colored biracial mixed-race trans cis straight bi disabled handicapped deaf
blind mute crippled retarded paralysed paralyzed mental mentally physically autistic bipolar schizophrenic
depressed foreign undocumented illegal asylum polish ethnic religious old elderly middle eastern south north
east west central far pacific puerto native
""")
PEOPLE = _words("""
people person persons folk folks man men woman women guy guys girl girls boy boys lady ladies kid kids child
children student students worker workers community communities family families individual individuals citizen
citizens race races population immigrants migrants refugees americans american africans african asians
europeans islander islanders aliens seekers human humans neighbour neighbours neighbor neighbors youth
teenager teenagers males females male female couple couples
""")
# Between an adjective and a word for people: "mentally ill people", "middle eastern men".
LINKS = _words("ill retarded disabled handicapped challenged impaired eastern american rican and")
# Which name a group in "the blind", and in "I am blind".
AFTER_THE = _words("disabled handicapped deaf blind elderly mentally")
AFTER_I = _words("black white disabled trans deaf blind bi autistic handicapped retarded")
I_AM = _words("am i'm im being you're youre we're they're")
# "People with a disability", "people of colour", "people from Africa".
CONDITIONS = _words("""
disability disabilities autism down downs syndrome dementia schizophrenia dwarfism wheelchair wheelchairs
disorder disorders handicap handicaps epilepsy illness colour color faith africa asia
""")
# Stems of slurs, from a word's start.
SLURS = re.compile(
    r"(?:n[i1]g+(?:er|a|ah|r|l)|f[a]g+(?:s$|$|ot)|d[y]ke|tr[a]nn(?:y|ie)|k[i]ke|sp[i]c(?:k|ks|s)?$|w[e]tback"
    r"|b[e]aner|ch[i]nk|g[o]ok|p[a]kis?$|r[a]ghead|t[o]welhead|sand?n[i]g|m[u]zz|mudsl[i]m|r[e]tard"
    r"|sp[a]stic|m[o]ng(?:ol)?s?$|c[u]nt|b[i]tch|wh[o]re|sl[u]t|h[o]es?$|sk[a]nk|c[o]ons?$|j[i]gab|g[y]ps"
    r"|shem[a]le|h[o]mos?$|squ[a]w)\w*"
)
