"""A scripted agent with the command line of `claude`, as far as a bottle uses it: for the demo and for tests.

It talks, remembers and fails in the same shapes (transcript file, stream of JSON, exit codes, words on stderr), needs
no network, and says the same to the same.  Words in the prompt steer it: `[agent: sleep 2]`, also several of them;
so does the environment variable DEMO_AGENT (`sleep 2, fail`).  Standard library only, and no import of this package:
it runs in a bottle.

Without `-p`, at a terminal, it answers line by line until `/exit`; `/size` shows the window's.

say TEXT      answer this                       fail [N]      exit 1, the first N times that it is told so
sleep S [N]   take S seconds, the first N times  login, overloaded, long, budget     fail in claude's way
big N         answer with N characters          garbage, silent                     print no JSON, print nothing
forget        write no transcript               stubborn      ignore SIGINT and SIGTERM
quota [WHEN]  be refused until then             long [N], overloaded [N]            also the first N times only
lost          find no conversation to resume (by the environment only)
commit F TEXT commit a file with this text      review B64    answer this JSON (base64), if a schema is asked for
child S       leave a process behind that lives S seconds, in a session of its own
handover ...  any of these, when asked for a hand-over note, and only then
"""

from __future__ import annotations

import base64
import json
import os
import re
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path
from typing import Any, NoReturn

_WORD = re.compile(r"\[agent:\s*([^\]]*)\]")
_VALUES = {"--output-format", "--session-id", "--resume", "--setting-sources", "--model", "--max-turns"}
_VALUES |= {"--max-budget-usd", "--json-schema"}
_SWITCHES = {"-p", "--print", "--verbose", "--dangerously-skip-permissions", "--strict-mcp-config"}
_MODEL = "scripted-1"
#: Dollars for a token, so that costs can be told apart.
_PRICE = 0.00001


class Conversation:
    """The transcript file of one session id."""

    def __init__(self, session_id: str) -> None:
        config = Path(os.environ.get("CLAUDE_CONFIG_DIR") or Path.home() / ".claude")
        project = os.environ.get("CLAUDE_CODE_PROJECT_DIR_NAME") or re.sub(r"[^A-Za-z0-9]", "-", str(Path.cwd()))
        self.id = session_id
        self.path = config / "projects" / project / f"{session_id}.jsonl"
        found = sorted(config.glob(f"projects/*/{session_id}.jsonl"))
        self.exists = bool(found)
        if found:
            self.path = found[0]
        self.counts = config / "scripted-agent"
        self.heard, self.cost, self.tokens = 0, 0.0, (0, 0)
        for line in self._lines():
            self.heard += line.get("type") == "user"
            self.cost = line.get("totalCostUSD", self.cost)
            for sums in line.get("modelUsage", {}).values():
                self.tokens = (sums["inputTokens"], sums["outputTokens"])
        self.writes = True

    def _lines(self) -> list[dict[str, Any]]:
        found = []
        for line in self.path.read_bytes().splitlines() if self.exists else ():
            try:
                found.append(json.loads(line))
            except ValueError:
                continue
        return [line for line in found if isinstance(line, dict)]

    def add(self, kind: str, **fields: Any) -> None:
        if not self.writes:
            return
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"type": kind, "sessionId": self.id, **fields}) + "\n")

    def still(self, word: str, times: str) -> bool:
        """Is `word` said for one of the first so many times?  Without a number, always."""
        self.counts.mkdir(parents=True, exist_ok=True)
        with (self.counts / f"{word}-{times}").open("ab") as file:
            file.write(b".")
            return not times or file.tell() <= int(times)


def main(argv: list[str]) -> int:
    if argv == ["--version"]:
        print("1.0.0 (scripted agent)")
        return 0
    options = _options(argv)
    standing = _orders(f"[agent: {os.environ.get('DEMO_AGENT', '')}]")
    conversation = _conversation(options, is_lost="lost" in dict(standing))
    if not options.keys() & {"-p", "--print"}:
        return _talk(conversation)
    prompt = sys.stdin.read()
    if not prompt.strip():
        _refuse("Error: Input must be provided either through stdin or as a prompt argument when using --print")
    is_handover = prompt.startswith("Write a hand-over note")
    orders = _meant_for(is_handover, _orders(prompt) + standing)
    conversation.writes = "forget" not in dict(orders)
    conversation.add("queue-operation", operation="enqueue", content=prompt)
    _print_line(options, {"type": "system", "subtype": "init", "session_id": conversation.id, "model": _MODEL})
    conversation.add("user", message={"role": "user", "content": prompt}, uuid=str(uuid.uuid4()))
    for word, value in orders:
        _obey(word, value, conversation, options)
    answer = _answer(prompt, dict(orders), conversation.heard)
    usage = _remember(answer, prompt, conversation, options)
    said: dict[str, Any] = {"subtype": "success", "is_error": False, "result": answer, "terminal_reason": "completed"}
    said |= {"structured_output": _review(dict(orders), answer)} if "--json-schema" in options else {}
    _print_line(options, _result(conversation, usage=usage) | said, last=True)
    return 0


def _talk(conversation: Conversation) -> int:
    """With somebody at a terminal."""
    _print(f"scripted agent, conversation {conversation.id}, {conversation.heard} earlier\n> ")
    # Past the buffer: it cannot be written to while it is being written to.
    signal.signal(signal.SIGINT, lambda *_: os.write(1, b"(interrupted)\n> "))
    signal.signal(signal.SIGWINCH, lambda *_: os.write(1, f"(window {_window()})\n> ".encode()))
    for line in sys.stdin:
        said = line.strip()
        if said == "/exit":
            return 0
        if said.startswith("/exit "):
            return int(said.split()[1])
        if said == "/size":
            _print(f"window {_window()}\n> ")
            continue
        conversation.add("user", message={"role": "user", "content": said}, uuid=str(uuid.uuid4()))
        answer = _answer(said, dict(_orders(said)), conversation.heard)
        conversation.heard += 1
        _remember(answer, said, conversation, {})
        _print(f"{answer}\n> ")
    return 0


def _window() -> str:
    columns, lines = os.get_terminal_size()
    return f"{columns}x{lines}"


def _options(argv: list[str]) -> dict[str, str]:
    options: dict[str, str] = {}
    words = iter(argv)
    for word in words:
        if word in _VALUES:
            options[word] = next(words, "")
        elif word in _SWITCHES:
            options[word] = "yes"
        else:
            _refuse(f"error: unknown option '{word}'")
    if not options.keys() & {"-p", "--print"} and not (sys.stdin.isatty() and sys.stdout.isatty()):
        _refuse("error: without -p it speaks at a terminal only")
    if options.get("--output-format") == "stream-json" and "--verbose" not in options:
        _refuse("Error: When using --print, --output-format=stream-json requires --verbose")
    if "--dangerously-skip-permissions" in options and os.geteuid() == 0 and os.environ.get("IS_SANDBOX") != "1":
        _refuse("--dangerously-skip-permissions cannot be used with root/sudo privileges for security reasons")
    return options


def _conversation(options: dict[str, str], *, is_lost: bool) -> Conversation:
    if "--resume" in options:
        known = Conversation(options["--resume"])
        if is_lost or not known.heard:
            _refuse(f"No conversation found with session ID: {known.id}")
        return known
    new = Conversation(options.get("--session-id") or str(uuid.uuid4()))
    if new.exists:
        _refuse(f"Error: Session ID {new.id} is already in use.")
    return new


def _orders(text: str) -> list[tuple[str, str]]:
    orders = []
    for group in _WORD.findall(text):
        for order in group.split(","):
            word, _, value = order.strip().partition(" ")
            orders.append((word, value.strip()))
    return orders


def _meant_for(is_handover: bool, orders: list[tuple[str, str]]) -> list[tuple[str, str]]:
    if not is_handover:
        return [order for order in orders if order[0] != "handover"]
    words = [value.partition(" ") for word, value in orders if word == "handover"]
    return [("say", "Note: the words so far."), *((word, value.strip()) for word, _, value in words)]


def _obey(word: str, value: str, conversation: Conversation, options: dict[str, str]) -> None:
    match word:
        case "stubborn":
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        case "child":
            quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
            subprocess.Popen(["sleep", value or "60"], start_new_session=True, **quiet)  # type: ignore[call-overload]
        case "sleep":
            seconds, _, times = value.partition(" ")
            if conversation.still(word, times):
                time.sleep(float(seconds or 1))
        case "commit":
            name, _, text = value.partition(" ")
            Path(name).parent.mkdir(parents=True, exist_ok=True)
            Path(name).write_text(f"{text}\n", encoding="utf-8")
            subprocess.run(["git", "add", "--", name], check=True)
            subprocess.run(["git", "commit", "-q", "-m", f"Change {name}"], check=True)
        case "fail" if conversation.still(word, value):
            _refuse("the scripted agent was told to fail")
        case "garbage" | "silent":
            _print("this is {not JSON\n" if word == "garbage" else "")
            raise SystemExit(0)
        case "login":
            _fail("Not logged in · Please run /login", conversation, options, api_error_status=401)
        case "overloaded" if conversation.still(word, value):
            _fail("API Error: 529 Overloaded", conversation, options, api_error_status=529)
        case "quota":
            _fail(f"You've hit your session limit · resets {value}", conversation, options, api_error_status=429)
        case "long" if conversation.still(word, value):
            _fail("Prompt is too long", conversation, options, terminal_reason="prompt_too_long")
        case "budget":
            usage = _speak("I have looked at half of it.", conversation, options, (5, 7))
            said = {"subtype": "error_max_budget_usd", "is_error": True, "errors": ["Reached maximum budget ($0.01)"]}
            _print_line(options, _result(conversation, usage=usage) | said, last=True)
            raise SystemExit(1)


def _answer(prompt: str, orders: dict[str, str], heard: int) -> str:
    if "big" in orders:
        return ("word " * (int(orders["big"] or 100_000) // 5 + 1))[: int(orders["big"] or 100_000)]
    memory = {0: "This is our first message.", 1: "I remember 1 earlier message."}
    said = orders.get("say") or f"I have read {len(prompt.split())} words."
    return f"{said} {memory.get(heard, f'I remember {heard} earlier messages.')}"


def _review(orders: dict[str, str], answer: str) -> Any:
    return json.loads(base64.b64decode(orders["review"])) if "review" in orders else {"summary": answer}


def _remember(answer: str, prompt: str, conversation: Conversation, options: dict[str, str]) -> dict[str, int]:
    usage = _speak(answer, conversation, options, (len(prompt) // 4 + 1, len(answer) // 4 + 1))
    sums = {_MODEL: {"inputTokens": conversation.tokens[0], "outputTokens": conversation.tokens[1]}}
    conversation.add("cost-state", totalCostUSD=conversation.cost, modelUsage=sums)
    return usage


def _speak(words: str, conversation: Conversation, options: dict[str, str], new: tuple[int, int]) -> dict[str, int]:
    """One answer of the model, and what it used: everything before comes from the cache."""
    usage = {"input_tokens": new[0], "output_tokens": new[1], "cache_read_input_tokens": sum(conversation.tokens)}
    message: dict[str, Any] = {"role": "assistant", "model": _MODEL, "content": [{"type": "text", "text": words}]}
    message |= {"id": f"msg_{uuid.uuid4().hex}", "usage": usage}
    conversation.cost += sum(new) * _PRICE
    conversation.tokens = (conversation.tokens[0] + new[0], conversation.tokens[1] + new[1])
    conversation.add("assistant", message=message, uuid=str(uuid.uuid4()))
    _print_line(options, {"type": "assistant", "message": message, "session_id": conversation.id})
    return usage


def _fail(words: str, conversation: Conversation, options: dict[str, str], **more: Any) -> NoReturn:
    said = {"subtype": "success", "is_error": True, "result": words, "terminal_reason": "api_error", **more}
    _print_line(options, _result(conversation, usage={"input_tokens": 0, "output_tokens": 0}) | said, last=True)
    raise SystemExit(1)


def _result(conversation: Conversation, *, usage: dict[str, int]) -> dict[str, Any]:
    """Costs of the conversation so far, usage of this run: as the real one counts."""
    return {
        "type": "result",
        "session_id": conversation.id,
        "num_turns": 1,
        "total_cost_usd": conversation.cost,
        "usage": usage,
        "modelUsage": {_MODEL: {"costUSD": conversation.cost}},
        "permission_denials": [],
        "uuid": str(uuid.uuid4()),
    }


def _print_line(options: dict[str, str], message: dict[str, Any], *, last: bool = False) -> None:
    form = options.get("--output-format", "text")
    if form == "stream-json" or (form == "json" and last):
        _print(json.dumps(message) + "\n")
    elif form == "text" and last:
        _print(f"{message.get('result', '')}\n")


def _print(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


def _refuse(words: str) -> NoReturn:
    sys.stderr.write(f"{words}\n")
    raise SystemExit(1)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
