"""From a sentence to admitted functions: the stages, the repairs and where they stop, and what is kept of all of it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from scripted import completion, error, serving, stream
from sources import GREEDY

from covey.authored.ablation import CONDITIONS, Row, ablate, contrasts, lines, newcombe, wilson
from covey.authored.author import NothingAdmitted, author
from covey.authored.client import Client
from covey.authored.dialogue import PASSED, SPENT, TWICE
from covey.authored.endpoint import Endpoint
from covey.authored.exchange import Answer, Fault, Fixed
from covey.authored.handwritten import ASSEMBLY, TERMS
from covey.authored.judging import Judge, lanes_that_fit
from covey.authored.prompts import Style
from covey.authored.recording import Replayed
from covey.cli import main
from covey.core.errors import BadInput

TASK = "Cover all landmarks."
CONSTRAINTS = '```json\n{"constraints": [{"id": "C1", "text": "reach a landmark", "kind": "basic"}]}\n```'
PLAN = (
    '```json\n{"skills": [{"name": "approach", "text": "head for it", "constraints": ["C1"]}],'
    ' "goals": [{"name": "close", "text": "stand on it", "constraints": ["C1"]}]}\n```'
)
REVIEW = '```json\n{"verdicts": [{"name": "approach", "holds": true, "text": "line 16."}]}\n```'
CODE = f"Here it is:\n\n```python\n{GREEDY}```\n"
FLEEING = CODE.replace("return gap[nearest] *", "return -gap[nearest] *")


class Scripted:
    """Gives its answers in turn, and remembers the stages; exceptions are raised."""

    about = {"kind": "script"}  # noqa: RUF012

    def __init__(self, *answers):
        self.answers = list(answers)
        self.asked = []

    def answer(self, stage, messages):
        self.asked.append((stage, messages[-1].content))
        answer = self.answers.pop(0)
        if isinstance(answer, BaseException):
            raise answer
        return Answer(answer, "m-1")

    @property
    def stages(self):
        return [stage for stage, _ in self.asked]


@pytest.fixture
def write(navigation, quick, tmp_path):
    """Writes functions with the quick judge, in the folder `new`."""

    def write(provider, **how):
        return author(navigation, TASK, provider, **{"judge": quick, "out": tmp_path / "new"} | how)

    return write


# ---------------------------------------------------------------------------------------------------------------------
# Stages


def test_a_single_call(write):
    provider = Scripted(CODE)
    written = write(provider)
    assert provider.stages == ["single"]
    assert written.source == GREEDY
    assert written.report["candidates"][0]["ended"] == PASSED


def test_all_stages(write):
    provider, told = Scripted(CONSTRAINTS, PLAN, CODE, REVIEW), []
    report = write(provider, style=Style(staged=True), tell=told.append).report
    assert provider.stages == ["constraints", "plan", "code", "review"]
    candidate = report["candidates"][0]
    assert candidate["constraints"][0]["id"] == "C1"
    assert candidate["plan"]["skills"][0]["name"] == "approach"
    assert candidate["review"] == [{"name": "approach", "holds": True, "text": "line 16."}]
    assert [line.split(":")[0] for line in told] == [
        *("context", "S2 constraints", "S3 plan", "S4 code", "gates", "S5 review"),
    ]


def test_json_is_asked_for_again(write):
    provider = Scripted("C1: reach it", CONSTRAINTS, PLAN, CODE, "no verdict")
    report = write(provider, style=Style(staged=True)).report
    assert provider.stages == ["constraints", "constraints", "plan", "code", "review"]
    again = provider.asked[1][1]
    assert "could not be used" in again
    assert "no valid JSON" in again
    assert "C1: reach it" in again
    assert report["candidates"][0]["review"] == []  # it is advice


def test_json_that_stays_wrong(write, tmp_path):
    provider = Scripted("no", "no", CODE)
    with pytest.raises(NothingAdmitted, match=r"failed at S2: the answer has no valid JSON .*new/exchange.jsonl"):
        write(provider, style=Style(staged=True))
    assert provider.stages == ["constraints", "constraints"]


DOCUMENT = f"```json\n{TERMS['navigation']}```\n"


@pytest.mark.parametrize("staged", [False, True])
def test_a_dialogue_about_terms(staged, write, tmp_path):
    """The same stages; what is asked for and mended is a document, and what is kept is its text."""
    code = [f"refused at G0: `speed` must be a number.\n{DOCUMENT}", DOCUMENT]
    provider = Scripted(*([CONSTRAINTS, PLAN, *code, REVIEW] if staged else code))
    written = write(provider, style=Style(staged=staged, form="terms"))
    asked = dict(provider.asked)
    assert "Terms are about vectors that ONE agent sees" in asked["code" if staged else "single"]
    assert '"force": "toward-nearest"' in asked["code" if staged else "single"]
    assert "Give the whole document again, in one block of JSON" in asked["repair"]
    assert "Gate G0 (one document of known terms, not too long) says" in asked["repair"]
    assert not any("jnp" in question for _, question in provider.asked)
    assert written.source == (tmp_path / "new" / "terms.json").read_text() == TERMS["navigation"]
    assert not (tmp_path / "new" / "source.py").exists()
    report = json.loads((tmp_path / "new" / "report.json").read_text())
    assert report["asked"]["form"] == "terms"
    assert set(report["sha256"]) == {"terms.json", "program.json", "exchange.jsonl"}


def test_a_review_is_advice_that_is_noted(write):
    doubt = REVIEW.replace("true", "false")
    for answer, passed in ((REVIEW, True), (doubt, False)):
        written = author_again(write, Scripted(CONSTRAINTS, PLAN, CODE, answer))
        report = written.admission.report
        assert ("G7" in report.passed) == passed
        assert report.review == [{"name": "approach", "holds": passed, "text": "line 16."}]
    assert author_again(write, Scripted(CONSTRAINTS, PLAN, CODE, "no verdict")).admission.report.review is None


def author_again(write, provider):
    return write(provider, style=Style(staged=True), out=None)


# ---------------------------------------------------------------------------------------------------------------------
# Repairs


def test_a_repair_is_told_what_was_refused(write):
    provider = Scripted("refused at G3: line 4: no.", CODE)
    report = write(provider).report
    assert provider.stages == ["single", "repair"]
    repair = provider.asked[1][1]
    for words in ("Gate G3 (both functions can be traced", "line 4: no.", "what lies behind it", "refused at G3"):
        assert words in repair
    assert [(r["gate"], r["sentence"]) for r in report["candidates"][0]["rounds"]] == [
        ("G3", "line 4: no."),
        (None, None),
    ]


@pytest.mark.parametrize(
    ("answers", "how", "asked", "ended"),
    [
        (["refused at G2: a."] * 9, {}, 2, TWICE),
        ([f"refused at G2: {k}." for k in range(9)], {}, 5, SPENT),
        ([f"refused at G2: {k}." for k in range(9)], {"repairs": 1}, 2, SPENT),
        ([f"refused at G2: {k}." for k in range(9)], {"repairs": 0}, 1, SPENT),
    ],
)
def test_repairs_end(answers, how, asked, ended, write, tmp_path):
    provider = Scripted(*answers)
    with pytest.raises(NothingAdmitted, match=r"failed at G2: .*\. What was exchanged is in") as caught:
        write(provider, **how)
    assert len(provider.asked) == asked
    assert "\n" not in str(caught.value)
    report = json.loads((tmp_path / "new" / "report.json").read_text())
    assert report["candidates"][0]["ended"] == ended
    assert report["asked"]["task"] == TASK
    assert report["chosen"] is None
    assert not (tmp_path / "new" / "program.json").exists()


def test_the_best_of_several(write, tmp_path):
    provider = Scripted("score 1", "refused at G6: no.", "refused at G6: no.", "score 3", "score 2")
    written = write(provider, candidates=4)
    assert written.trial.prior_return == 3
    assert written.report["chosen"] == 3
    assert [candidate["score"] for candidate in written.report["candidates"]] == [1.0, None, 3.0, 2.0]
    assert (tmp_path / "new" / "source.py").read_text() == "score 3"


def test_a_fixed_text_is_asked_once(write):
    with pytest.raises(NothingAdmitted, match="the only text failed at G1: no"):
        write(Fixed("refused at G1: no.", "mine.py"), candidates=3)


# ---------------------------------------------------------------------------------------------------------------------
# Faults, and what is kept


def test_a_fault_ends_a_candidate_and_not_the_others(write):
    report = write(Scripted(Fault("cut-off", "it is cut off."), CODE), candidates=2).report
    assert [candidate["ended"] for candidate in report["candidates"]] == ["fault: cut-off", PASSED]


def test_a_final_fault_ends_everything_and_keeps_what_passed(write, tmp_path):
    provider = Scripted(CODE, Fault("budget", "the budget is spent.", final=True), CODE)
    written = write(provider, candidates=3)
    assert len(provider.asked) == 2
    assert written.report["fault"] == {"name": "budget", "sentence": "the budget is spent."}
    assert len((tmp_path / "new" / "exchange.jsonl").read_text().splitlines()) == 2


def test_a_fault_is_a_sentence_that_says_where_the_rest_is(write, tmp_path):
    with pytest.raises(Fault, match=r"it is cut off\. What was exchanged is in .*exchange.jsonl"):
        write(Scripted(Fault("cut-off", "it is cut off.")))
    assert {path.name for path in (tmp_path / "new").iterdir()} == {"exchange.jsonl", "report.json"}


@pytest.mark.parametrize("at", [0, 1, 2])
def test_an_interrupt_keeps_what_was_exchanged(at, write, tmp_path):
    answers: list = ["score 1", "refused at G1: no.", CODE]
    answers[at] = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        write(Scripted(*answers), candidates=3)
    names = {path.name for path in (tmp_path / "new").iterdir()}
    assert names == {"exchange.jsonl", "report.json"} | ({"source.py", "program.json"} if at else set())
    entries = [json.loads(line) for line in (tmp_path / "new" / "exchange.jsonl").read_text().splitlines()]
    assert ["answer" in entry for entry in entries] == [True] * at + [False]


def test_it_repeats_without_the_model(write, tmp_path, navigation, quick):
    provider = Scripted(CONSTRAINTS, PLAN, "refused at G3: no.", CODE, REVIEW)
    first = write(provider, style=Style(staged=True))
    again = write(Replayed(tmp_path / "new"), style=Style(staged=True), out=tmp_path / "again")
    assert again.source == first.source
    sums = [json.loads((tmp_path / name / "report.json").read_text())["sha256"] for name in ("new", "again")]
    assert sums[0]["program.json"] == sums[1]["program.json"]
    with pytest.raises(BadInput, match="has the answer to another question at line 1"):
        author(navigation, "Another task.", Replayed(tmp_path / "new"), style=Style(staged=True), judge=quick)


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ({"candidates": 0}, "1 or more candidates"),
        ({"repairs": -1}, "0 or more repairs"),
        ({"group": "agents"}, "did you mean 'agent'"),
    ],
)
def test_arguments_that_are_none(how, words, write, tmp_path):
    with pytest.raises(BadInput, match=words):
        write(Scripted(), **how)
    assert not (tmp_path / "new").exists()


def test_a_folder_that_is_taken(write, tmp_path):
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "file").touch()
    with pytest.raises(BadInput, match="is not empty"):
        write(Scripted(CODE))
    with pytest.raises(BadInput, match="is a file"):
        write(Scripted(CODE), out=tmp_path / "new" / "file")


def test_trials_fit_into_memory():
    import covey

    robots = covey.make("assembly", robots=200, collision_radius="auto").spec
    assert lanes_that_fit(covey.make("navigation").spec, 25) == 64
    assert lanes_that_fit(robots, 200) == 4


# ---------------------------------------------------------------------------------------------------------------------
# The ablation


def test_four_conditions(navigation, quick, tmp_path):
    """Success and failure by condition, replayed to the same table."""
    answers = [
        *(CODE, "refused at G2: a.", CODE, CODE),
        *("refused at G3: b.", "refused at G2: c.", Fault("cut-off", "it is."), CODE),
    ]
    provider = Scripted(*answers)
    rows = ablate(navigation, TASK, provider, answers=2, judge=quick, out=tmp_path / "new")
    assert rows == [
        Row("task alone", 2, 1, {"G3": 1}),
        Row("functions", 2, 0, {"G2": 2}),
        Row("reasoning", 2, 1, {"cut-off": 1}),
        Row("both", 2, 2, {}),
    ]
    assert len({text for _, text in provider.asked}) == len(CONDITIONS) == 4
    assert ablate(navigation, TASK, Replayed(tmp_path / "new"), answers=2, judge=quick) == rows
    table = lines(rows)
    assert len(table) == 8
    assert table[2].split() == ["functions", "2", "0.0%", "[0.0%,", "65.8%]", "G2:", "2"]
    assert json.loads((tmp_path / "new" / "report.json").read_text())["rows"][3]["passed"] == 2


def test_four_conditions_over_a_server(navigation, quick, tmp_path):
    """Recorded answers, by what a prompt offers; the exchange gives the same table without the server."""
    pytest.importorskip("openai", reason="the package openai is not installed (extra `authored`)")
    said = {
        (False, False): "refused at G2: a.",
        (True, False): "refused at G5: b.",
        (False, True): CODE,
        (True, True): CODE,
    }

    def answer(request):
        question = request["messages"][-1]["content"]
        return completion(said.get(("def direction" in question, "Go about it in this order" in question), CODE))

    with serving(answer) as server:
        client = Client(Endpoint(server.url, "wanted"))
        rows = ablate(navigation, TASK, client, answers=3, judge=quick, out=tmp_path / "new")
    assert [row.passed for row in rows] == [0, 0, 3, 3]
    assert [row.failures for row in rows] == [{"G2": 3}, {"G5": 3}, {}, {}]
    assert ablate(navigation, TASK, Replayed(tmp_path / "new"), answers=3, judge=quick) == rows
    assert len(server.requests) == client.calls == 12


def test_differences_of_shares():
    """Against values of the literature (Newcombe 1998, table II, method 10)."""
    for (a, m, b, n), wanted in {
        (56, 70, 48, 80): (0.0524, 0.3339),
        (9, 10, 3, 10): (0.1705, 0.8090),
        (10, 10, 0, 20): (0.6791, 1.0000),
    }.items():
        low, high = newcombe(wilson(a, m), wilson(b, n))
        assert (round(low, 4), round(high, 4)) == wanted
    rows = [Row("task alone", 10, 3, {}), Row("both", 10, 9, {})]
    (apart,) = contrasts(rows)
    assert apart.text() == "+60.0 points [+17.1, +80.9]"
    assert lines(rows)[-1] == f"both against task alone: {apart.text()}"


def test_an_ablation_that_ends(navigation, quick, tmp_path):
    provider = Scripted(CODE, Fault("budget", "it is spent.", final=True))
    with pytest.raises(Fault, match="spent"):
        ablate(navigation, TASK, provider, judge=quick, out=tmp_path / "new")
    assert len((tmp_path / "new" / "exchange.jsonl").read_text().splitlines()) == 2
    with pytest.raises(BadInput, match="at least 1 answer"):
        ablate(navigation, TASK, Scripted(), answers=0)


def test_intervals():
    """Against values of the literature (Newcombe 1998, table I, method 3), and at the ends."""
    for (successes, count), wanted in {(81, 263): (0.2553, 0.3662), (15, 148): (0.0624, 0.1605)}.items():
        share = wilson(successes, count)
        assert (round(share.low, 4), round(share.high, 4)) == wanted
    assert wilson(0, 20).low == 0.0
    assert round(wilson(0, 20).high, 4) == 0.1611
    assert wilson(1, 29).text() == "3.4% [0.6%, 17.2%]"
    assert wilson(20, 20).high == 1.0
    for successes, count in ((1, 0), (-1, 3), (4, 3)):
        with pytest.raises(BadInput):
            wilson(successes, count)


# ---------------------------------------------------------------------------------------------------------------------
# The real gates, the real command, a server

KEY = "key-0123456789-abcdef"


def answering(request, code=CODE):
    """What the scripted server says to each stage: one slip in the code, which a repair mends."""
    question = request["messages"][-1]["content"]
    reply = stream if request.get("stream") else completion
    if "List the constraints" in question:
        return reply(CONSTRAINTS)
    if "Now plan both functions" in question:
        return reply(PLAN)
    if "Gate G2" in question:
        return reply(code)
    if "verdicts" in question:
        return reply(REVIEW)
    return reply(code.replace("import jax.numpy as jnp", "import jax.numpy as jnp\nimport os"))


@pytest.fixture
def at_home(tmp_path, monkeypatch):
    """In a folder of its own, with a key and without proxies."""
    pytest.importorskip("openai", reason="the package openai is not installed (extra `authored`)")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SCRIPTED_KEY", KEY)
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)


def command(server, *more, environment="navigation"):
    where = ["--endpoint", server.url, "--model", "wanted", "--api-key-env", "SCRIPTED_KEY", "--task", TASK]
    return ["author", environment, *where, "--out", "new", *more]


WAYS = {
    "navigation": (CODE, ()),
    "assembly": (f"```python\n{ASSEMBLY}```", ("--env.robots", "6", "--env.time-limit", "40")),
}


@pytest.mark.slow
@pytest.mark.parametrize(("environment", "code", "options"), [(name, *way) for name, way in WAYS.items()], ids=WAYS)
def test_the_whole_way(environment, code, options, at_home, isolated, capsys):
    """From a sentence, over a server that is busy at first, to a trained run; and the key is nowhere."""
    script = iter([error(429, Retry_After="0"), error(500)])
    with serving(lambda request: next(script, None) or answering(request, code)) as server:
        assert main(command(server, "--stream", *options, environment=environment)) == 0
    shown = capsys.readouterr().out
    for words in ("S2 constraints: 1", "refused at G2", "S6 repair 1", "gates: passed", "S5 review: 1 of 1 hold"):
        assert words in shown
    line = shown.strip().splitlines()[-1]
    assert line == " ".join(["covey train lamarl", environment, "--prior new --reward new", *options])
    small = "--steps 30 --envs 2 --episodes 2 --replay.batch 4 --replay.capacity 100 --width 8 --quiet --out run"
    assert main(f"{line} {small}".split()[1:]) == 0
    assert "name: new" in Path("run/config.yaml").read_text()
    assert main(["author", environment, "--replay", "new", "--out", "again", *options]) == 0
    sums = [json.loads(Path(name, "report.json").read_text())["sha256"] for name in ("new", "again")]
    assert sums[0]["program.json"] == sums[1]["program.json"]
    captured = capsys.readouterr()
    assert KEY not in shown + captured.out + captured.err
    assert [path for path in Path().rglob("*") if path.is_file() and KEY.encode() in path.read_bytes()] == []


@pytest.mark.slow
def test_terms_from_the_command_line(at_home, capsys):
    """By covey's own hand and over a server, whose first document has a slip; then a run on both."""
    assert main(["author", "navigation", "--form", "terms", "--out", "own"]) == 0
    shown = capsys.readouterr().out
    assert "one document of known terms" in shown
    assert "can be traced in the cage" not in shown
    assert Path("own/terms.json").read_text() == TERMS["navigation"]

    def answer(request):
        question = request["messages"][-1]["content"]
        slip = "Gate G0" not in question
        return completion(DOCUMENT.replace("landmarks", "landmark") if slip else DOCUMENT)

    with serving(answer) as server:
        assert main(command(server, "--form", "terms", "--stages", "single")) == 0
    assert "a field must be one of velocity, landmarks" in capsys.readouterr().out
    assert main(["author", "navigation", "--replay", "new", "--out", "again"]) == 0
    sums = [json.loads(Path(name, "report.json").read_text())["sha256"] for name in ("own", "new", "again")]
    assert sums[0]["program.json"] == sums[1]["program.json"] == sums[2]["program.json"]
    assert main(["author", "navigation", "--form", "terms", "--source", "own/terms.json", "--out", "mine"]) == 0
    small = "--steps 20 --envs 2 --episodes 2 --replay.batch 4 --replay.capacity 100 --width 8 --quiet --out run"
    assert main(f"train lamarl navigation --prior new --reward own {small}".split()) == 0
    assert len(list(Path("run").glob("authored/*/terms.json"))) == 1  # it is one program


@pytest.mark.slow
def test_an_ablation_from_the_command_line(at_home, isolated, capsys):
    with serving([completion(CODE)]) as server:
        assert main(command(server, "--ablation", "1", "--json", "table.json")) == 0
    shown = capsys.readouterr().out
    assert "both against task alone: +0.0 points" in shown
    rows = json.loads(Path("table.json").read_text())["rows"]
    assert [(row["condition"], row["passed"]) for row in rows] == [(name, 1) for name in CONDITIONS]
    assert main(["author", "navigation", "--ablation", "1", "--replay", "new", "--task", TASK, "--out", "again"]) == 0


@pytest.mark.slow
def test_ctrl_c_leaves_what_was_exchanged(at_home):
    """While the second answer is on its way."""
    asked = iter([completion(CONSTRAINTS), completion(PLAN)._replace(wait_s=30.0)])
    with serving(lambda request: next(asked)) as server:
        line = [sys.executable, "-m", "covey", *command(server)]
        process = subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        deadline = time.monotonic() + 60
        while len(server.requests) < 2 and time.monotonic() < deadline:
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=20)
    assert (process.returncode, err) == (130, "")
    assert "S2 constraints: 1" in out
    kept = [json.loads(line) for line in Path("new/exchange.jsonl").read_text().splitlines()]
    assert kept[0]["answer"]["text"] == CONSTRAINTS
    assert kept[1]["fault"]["name"] == "stopped"
    assert json.loads(Path("new/report.json").read_text())["chosen"] is None


FAULTY = {
    "a wrong key": (error(401, f"bad {KEY}"), "refuses the key (status 401)"),
    "a budget": (error(500), "the budget of 2 calls is spent"),
    "a long wait": (error(429, Retry_After="3600"), "asks to wait 3600 s"),
    "a web page": (completion()._replace(body="<html>", kind="text/html"), "answers with a web page"),
    "no choices": (completion(choices=[]), "has no choices"),
    "a cut answer": (completion("x", "length"), "stopped at its token limit"),
}


@pytest.mark.parametrize(("reply", "words"), FAULTY.values(), ids=FAULTY)
def test_each_fault_is_a_sentence(reply, words, at_home, capsys, monkeypatch):
    """Exit code 2, one line, no traceback; what was exchanged is kept."""
    monkeypatch.setattr("covey.runs.train.use_compilation_cache", lambda: None)
    with serving([reply]) as server:
        assert main(command(server, "--calls", "2")) == 2
    captured = capsys.readouterr()
    (line,) = captured.err.splitlines()
    assert line.startswith("covey: ")
    assert words in line
    assert line.endswith("What was exchanged is in new/exchange.jsonl.")
    kept = [json.loads(line) for line in Path("new/exchange.jsonl").read_text().splitlines()]
    assert kept[-1]["fault"]["sentence"] in line
    for path in Path("new").iterdir():
        assert KEY.encode() not in path.read_bytes()
    assert KEY not in captured.out + captured.err


WRONG = {
    "no environment": ("author", "for which environment?"),
    "an unknown one": ("author navigatoin", "did you mean 'navigation'?"),
    "a model alone": ("author navigation --model m", "say which one, with --endpoint URL"),
    "an endpoint alone": ("author navigation --endpoint http://x/v1", "needs the name of a model"),
    "no task": ("author navigation --endpoint http://x/v1 --model m", "what should the agents do?"),
    "two places": ("author navigation --replay a --source b", "--replay and --source cannot be combined"),
    "no replay": ("author navigation --replay none", "there is no recorded exchange none"),
    "no source": ("author navigation --source none.py", "there is no source file none.py"),
    "no URL": ("author navigation --endpoint x --model m --task t", "is no URL of http"),
    "no key": ("author navigation --endpoint http://x/v1 --model m --task t --api-key-env NO_KEY", "`NO_KEY` that"),
    "nobody's hand": ("author toy/graph", "no prior and reward of its own for 'toy/graph'"),
    "several groups": ("author toy/discrete --source mine.py", "say which one the functions are for"),
    "an ablation of a text": ("author navigation --ablation 3", "an ablation asks a model: name it"),
    "an ablation of one's own": ("author navigation --ablation 3 --source mine.py", "leave out --source"),
    "an ablation of repairs": (
        "author navigation --ablation 3 --repairs 2 --endpoint http://x/v1 --model m --task t",
        "leave out --repairs",
    ),
    "nobody's terms": ("author pursuit --form terms", "(it has them for assembly, navigation)"),
    "a reward of nothing": ("train lamarl navigation --reward mine.json", "holds no authored functions"),
    "a prior of nothing": ("train lamarl navigation --prior mine.json", "holds no authored functions"),
}


@pytest.mark.parametrize(("line", "words"), WRONG.values(), ids=WRONG)
def test_wrong_commands(line, words, at_home, capsys):
    Path("mine.py").write_text("x = 1\n")
    Path("mine.json").write_text("{}")
    assert main(line.split()) == 2
    (said,) = capsys.readouterr().err.splitlines()
    assert words in said
    assert {path.name for path in Path().iterdir()} == {"mine.py", "mine.json"}


@pytest.mark.slow
def test_the_gates_refuse_a_prior_that_flees(navigation, contract, isolated):
    """G6, by the judge that `covey author` has."""
    from covey.authored.limits import Limits

    judge = Judge(navigation, contract, Limits(views=500))
    judged = judge(FLEEING)
    assert judged.refused is not None
    assert judged.refused.gate == "G6"
    assert judged.trial is not None
    assert str(judge("no code").refused).startswith("the answer has no function")
    good = judge(CODE)
    assert good.refused is None
    assert good.score > 0.5
