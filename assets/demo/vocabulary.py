"""Words of the demonstration corpus: domains with their nouns, verbs for relations, attributes for kinds of nouns."""

from __future__ import annotations


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


# Kinds of nouns: p person, g organisation or place, d document, e event, t thing, m money.
_DOMAINS = """
public library: book/t author/p member/p loan/e shelf/t fine/m publisher/g reservation/e
online shop: customer/p order/d product/t payment/m cart/t coupon/m address/g refund/m
hospital: patient/p doctor/p ward/g appointment/e prescription/d treatment/e nurse/p surgery/e
school: student/p teacher/p course/e grade/d classroom/g exam/e subject/t lesson/e
airline: flight/e passenger/p ticket/d airport/g pilot/p aircraft/t luggage/t seat/t
hotel: guest/p room/g booking/e invoice/d service/t floor/g manager/p stay/e
bank: account/m client/p branch/g transfer/m card/t loan/m teller/p statement/d
restaurant: dish/t waiter/p table/t menu/d reservation/e ingredient/t chef/p bill/d
cinema: movie/t screening/e hall/g ticket/d viewer/p actor/p director/p snack/t
car rental: car/t rental/e driver/p garage/g insurance/d damage/e contract/d station/g
football league: team/g player/p match/e stadium/g coach/p referee/p goal/e season/e
music streaming service: song/t artist/p album/t playlist/t listener/p genre/t label/g concert/e
blog: post/d writer/p comment/d tag/t reader/p category/t image/t draft/d
job board: job/t company/g applicant/p application/d skill/t interview/e recruiter/p offer/d
real estate agency: property/g agent/p buyer/p visit/e contract/d owner/p listing/d district/g
farm: field/g crop/t harvest/e tractor/t farmer/p animal/t barn/g feed/t
zoo: animal/t keeper/p enclosure/g species/t feeding/e visitor/p tour/e vet/p
museum: exhibit/t artist/p gallery/g curator/p exhibition/e visitor/p donation/m guide/p
gym: member/p trainer/p workout/e machine/t membership/d session/e locker/t plan/d
veterinary clinic: pet/t owner/p vet/p checkup/e vaccine/t clinic/g diagnosis/d medicine/t
logistics company: parcel/t courier/p depot/g route/e vehicle/t shipment/e recipient/p manifest/d
warehouse: item/t shelf/t supplier/g delivery/e pallet/t worker/p stock/t zone/g
insurance company: policy/d holder/p claim/d payout/m adjuster/p premium/m risk/t broker/p
newspaper: article/d editor/p journalist/p section/t issue/d photo/t subscriber/p advert/d
university: professor/p department/g lecture/e thesis/d faculty/g student/p campus/g scholarship/m
city council: citizen/p permit/d office/g council/g vote/e proposal/d district/g tax/m
help desk: ticket/d technician/p user/p asset/t reply/d incident/e queue/t team/g
software project: task/t developer/p sprint/e release/e bug/d repository/t project/t review/d
game studio: player/p level/t character/p weapon/t quest/e guild/g score/m item/t
travel agency: trip/e traveller/p guide/p destination/g hotel/g voucher/d excursion/e ticket/d
bakery: bread/t baker/p recipe/d oven/t ingredient/t order/d customer/p batch/t
brewery: beer/t batch/t tank/t hop/t brewer/p recipe/d keg/t tasting/e
energy provider: meter/t household/g tariff/m reading/d invoice/d grid/g plant/g outage/e
telecom provider: subscriber/p phone/t plan/d call/e tower/g invoice/d message/d device/t
charity: donor/p donation/m campaign/e volunteer/p project/t event/e receipt/d partner/g
conference: speaker/p talk/e attendee/p track/t sponsor/g room/g badge/t workshop/e
law firm: lawyer/p case/d client/p hearing/e court/g judge/p evidence/t document/d
research lab: experiment/e sample/t scientist/p instrument/t paper/d dataset/t protocol/d grant/m
factory: machine/t operator/p part/t shift/e order/d line/g defect/e inspection/e
railway: train/t platform/g conductor/p carriage/t journey/e ticket/d signal/t depot/g
kindergarten: child/p parent/p group/g meal/t educator/p activity/e pickup/e allergy/d
theatre: play/t actor/p scene/e costume/t stage/g rehearsal/e seat/t usher/p
pharmacy: drug/t pharmacist/p prescription/d patient/p supplier/g shelf/t batch/t sale/m
auction house: lot/t bidder/p bid/m auction/e seller/p catalogue/d appraisal/d hammer/t
dental practice: dentist/p patient/p appointment/e tooth/t filling/e invoice/d assistant/p xray/d
print shop: print/t printer/t paper/t customer/p quote/d design/d job/t finish/t
weather service: sensor/t station/g reading/d forecast/d alert/d region/g storm/e observer/p
fishing port: boat/t captain/p catch/t port/g crew/g net/t licence/d buyer/p
chess club: player/p game/e tournament/e opening/t rating/m board/t club/g trophy/t
garden centre: plant/t gardener/p pot/t seed/t greenhouse/g order/d supplier/g tool/t
"""

VERBS = _words(
    """
    has owns places contains holds creates manages receives books orders writes includes uses sends keeps leads
    covers hosts serves records assigns handles needs offers pays plans signs runs tracks opens requests visits
    supplies supports attends approves teaches carries lists produces reviews reserves starts triggers checks
    collects delivers describes employs fills finances gets groups issues joins loads makes moves publishes
    registers rents repairs reports sells shows stores submits takes updates watches wins
    """
)
PREFIXES = _words("main old new home test web daily local first last shared public private extra spare senior")
SUFFIXES = _words("line type group note log entry plan item list record detail history status rule unit report")
SYLLABLES = _words(
    "ba ce di fo gu ka le mi no pu ra se ti vo zu bra cle dri flo gru tra ste pla qui shi nor mar tel sol ven"
)

ATTRIBUTES: dict[str, tuple[tuple[str, str], ...]] = {
    "p": (
        ("string", "first_name"), ("string", "last_name"), ("string", "email"), ("string", "phone_number"),
        ("date", "birth_date"), ("string", "home_address"), ("boolean", "is_active"), ("string", "job_title"),
    ),
    "g": (
        ("string", "name"), ("string", "street"), ("string", "city"), ("string", "zip_code"),
        ("int", "max_capacity"), ("string", "phone_number"), ("date", "opening_date"), ("string", "region"),
    ),
    "d": (
        ("string", "title"), ("date", "issue_date"), ("string", "status"), ("text", "body_text"),
        ("int", "page_count"), ("date", "due_date"), ("string", "reference_number"), ("string", "file_path"),
    ),
    "e": (
        ("date", "start_date"), ("date", "end_date"), ("string", "status"), ("string", "location"),
        ("int", "duration_minutes"), ("text", "notes"), ("int", "max_places"), ("string", "event_name"),
    ),
    "t": (
        ("string", "name"), ("text", "description"), ("string", "serial_number"), ("decimal", "unit_price"),
        ("int", "quantity"), ("string", "color"), ("decimal", "net_weight"), ("string", "size"),
    ),
    "m": (
        ("decimal", "total_amount"), ("string", "currency"), ("date", "booking_date"), ("string", "status"),
        ("decimal", "tax_rate"), ("string", "payment_method"), ("text", "notes"), ("date", "value_date"),
    ),
}  # fmt: skip

SYSTEM_SENTENCES = (
    "You draw Mermaid ER diagrams.",
    "You are a helpful assistant.",
    "Answer with a Mermaid erDiagram and nothing else.",
    "You are an experienced software architect.",
    "You design databases for small companies.",
    "Return only the diagram, without any explanation.",
    "Write valid Mermaid syntax.",
    "Use the names that the user gives.",
    "Include every entity and every relation that is asked for.",
    "You help developers to model their data.",
    "Do not use code fences.",
    "Every entity has a primary key.",
    "Mark foreign keys with FK and primary keys with PK.",
    "Use snake_case for attributes.",
    "Give each relation a meaningful label.",
    "Think about the cardinality of each relation.",
    "Keep the diagram short and easy to read.",
    "The diagram describes the tables of a relational database.",
    "Start with the word erDiagram.",
    "Your answers are checked by a program, so keep to the format exactly.",
    "Do not invent entities that nobody asked for.",
    "You turn a description in plain words into an entity-relationship diagram.",
    "If something is unclear, choose the simplest solution.",
    "Each attribute has a type and a name.",
)


def _domains() -> dict[str, tuple[str, ...]]:
    table: dict[str, tuple[str, ...]] = {}
    for line in _DOMAINS.strip().splitlines():
        domain, nouns = line.split(": ")
        table[domain] = tuple(noun.split("/")[0] for noun in nouns.split())
    return table


def _kinds() -> dict[str, str]:
    nouns = [noun for line in _DOMAINS.strip().splitlines() for noun in line.split(": ")[1].split()]
    return {noun.split("/")[0]: noun.split("/")[1] for noun in nouns}


DOMAINS: dict[str, tuple[str, ...]] = _domains()
KIND_OF: dict[str, str] = _kinds()
NOUNS: tuple[str, ...] = tuple(sorted(KIND_OF))
