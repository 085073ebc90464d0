"""Top-level domains: every country's, the common others, and the names that RFC 2606 and RFC 6762 set apart."""

from __future__ import annotations

from typing import Final

_COUNTRIES: Final = (
    "ac ad ae af ag ai al am ao aq ar as at au aw ax az ba bb bd be bf bg bh bi bj bm bn bo br bs bt bv bw by bz ca "
    "cc cd cf cg ch ci ck cl cm cn co cr cu cv cw cx cy cz de dj dk dm do dz ec ee eg er es et eu fi fj fk fm fo fr "
    "ga gb gd ge gf gg gh gi gl gm gn gp gq gr gs gt gu gw gy hk hm hn hr ht hu id ie il im in io iq ir is it je jm "
    "jo jp ke kg kh ki km kn kp kr kw ky kz la lb lc li lk lr ls lt lu lv ly ma mc md me mg mh mk ml mm mn mo mp mq "
    "mr ms mt mu mv mw mx my mz na nc ne nf ng ni nl no np nr nu nz om pa pe pf pg ph pk pl pm pn pr ps pt pw py qa "
    "re ro rs ru rw sa sb sc sd se sg sh si sj sk sl sm sn so sr ss st su sv sx sy sz tc td tf tg th tj tk tl tm tn "
    "to tr tt tv tw tz ua ug uk us uy uz va vc ve vg vi vn vu wf ws ye yt za zm zw "
)
_OTHERS: Final = (
    "com org net edu gov mil int info biz name pro aero coop museum mobi jobs travel tel cat asia post arpa xxx "
    "academy accountants actor agency apartments app army art associates attorney auction audio auto baby band bank "
    "bar bargains bayern beauty beer berlin best bet bike bingo bio black blog blue boutique broker brussels build "
    "builders business buzz cab cafe camera camp capital cards care career careers cars casa cash casino catering "
    "center ceo charity chat cheap church city claims cleaning click clinic clothing cloud club coach codes coffee "
    "college community company computer condos construction consulting contractors cooking cool country coupons "
    "credit creditcard cricket cruises cyou dance date dating deals degree delivery democrat dental dentist design "
    "dev diamonds diet digital direct directory discount doctor dog domains download earth education email energy "
    "engineer engineering enterprises equipment estate events exchange expert exposed express fail faith family "
    "fans farm fashion film finance financial fish fit fitness flights florist flowers football forex forum "
    "foundation fun fund furniture futbol fyi gallery game games garden gay gift gifts gives global gmbh gold golf "
    "graphics gratis green gripe group guide guru hamburg haus health healthcare help hiphop hockey holdings "
    "holiday homes horse hospital host hosting house how icu immo industries ink institute insurance insure "
    "international investments irish jetzt jewelry kaufen kim kitchen koeln land lat law lawyer lease legal lgbt "
    "life lighting limited limo link live llc loan loans lol london love ltd ltda luxury management map market "
    "marketing mba media medical memorial men menu miami moda moe mom money mortgage movie navy network new news "
    "ngo nrw nyc one ong onl online organic page paris partners parts party pet pharmacy photo photography photos "
    "pics pictures pink pizza place plumbing plus poker porn press productions promo properties property pub quest "
    "racing realty recipes red rehab reise reisen rent rentals repair report republican rest restaurant review "
    "reviews rip rocks rodeo rugby ruhr run saarland sale salon sarl school schule science scot security services "
    "sexy shiksha shoes shop shopping show singles site ski soccer social software solar solutions soy space srl "
    "store stream studio study style supplies supply support surf surgery swiss systems tax taxi team tech "
    "technology tennis theater tienda tips tires tirol today tokyo tools top tours town toys trade training tube "
    "university uno vacations ventures versicherung vet viajes video villas vin vip vision vlaanderen vodka vote "
    "voyage wales watch webcam website wedding wien wiki win wine work works world wtf xyz yoga zone example test "
    "invalid local internal lan home corp intranet "
)
_TOP: Final = frozenset((*_COUNTRIES.split(), *_OTHERS.split()))


def is_top_domain(label: str) -> bool:
    """Whether a domain may end in `label`; labels outside ASCII, and their `xn--` form, are all taken to be one."""
    if not label.isascii() or label.lower().startswith("xn--"):
        return True
    return label.lower() in _TOP and (label.islower() or not label[0].islower())
