"""`poise chat`: questions about a clip in the terminal, kept and resumed.

    poise chat squat.mp4                    begin with a clip
    poise chat --resume 3f2a91c0            go on; poise chat --list names the chats
    echo "What should I fix first?" | poise chat squat.npz --json

Inside: a question, `/clip FILE` to add a clip, `/show demonstration`, `/show correction`, `/quit`.
"""

import json
import sys
from collections.abc import Iterator
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, TextIO

import typer

from assistant.engine.choose import DEFAULT_ENGINE
from assistant.errors import PoiseError
from assistant.options import EngineName, LibraryFolder, ModelFolder

if TYPE_CHECKING:
    from assistant.chat import Event
    from assistant.chat_session import ChatSession
    from assistant.chat_store import ChatStore

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)

HELP: Final = "Ask a question, or: /clip FILE, /show demonstration, /show correction, /quit"
UNTAUGHT: Final = (
    "This checkpoint has learned few dialogues: its answers to questions are poor, and it cannot "
    "call for a demonstration or a correction itself (/show does)."
)
PROMPT: Final = "> "


@app.command()
def chat(
    clip: Annotated[Path | None, typer.Argument(help="A video or a pose file.")] = None,
    resume: Annotated[str | None, typer.Option(help="Go on with this chat.")] = None,
    list_chats: Annotated[bool, typer.Option("--list", help="List the chats.")] = False,
    delete: Annotated[str | None, typer.Option(help="Delete this chat.")] = None,
    activity: Annotated[str | None, typer.Option(help="Judge clips as this activity.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object an answer.")] = False,
    store: Annotated[
        Path | None,
        typer.Option(
            help="The file that keeps the chats; default $POISE_CHAT_STORE, else "
            "poise/chat.sqlite in your data folder."
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder for shown motions; default beside the store.")
    ] = None,
    model: ModelFolder = None,
    engine: EngineName = DEFAULT_ENGINE,
    library: LibraryFolder = None,
) -> None:
    """Ask about a clip: what to fix first, a body region, the level, a drill, last time."""
    from assistant.chat_store import ChatStore, default_store

    path = default_store() if store is None else store
    chats = ChatStore(path)
    try:
        if list_chats:
            _list(chats, as_json)
        elif delete is not None:
            chats.delete(delete)
        else:
            if clip is None and resume is None:
                raise typer.BadParameter("name a clip, or a chat by --resume", param_hint="CLIP")
            _check_clip(clip)
            session = _open(chats, resume, model, engine, library, activity)
            folder = path.parent / "shown" if out is None else out
            _Talk(session, folder, activity, as_json).run(clip)
    finally:
        chats.close()


def _check_clip(clip: Path | None) -> None:
    """Fail on a wrong file before the model is loaded."""
    if clip is not None:
        from assistant.clip_input import load_clip

        load_clip(clip, {}, None)


def _list(chats: "ChatStore", as_json: bool) -> None:
    rows = chats.sessions()
    if as_json:
        told = [
            {"session": r.session_id, "created": r.created, "clips": r.clips, "n": r.exchanges}
            for r in rows
        ]
        print(json.dumps({"sessions": told}))
        return
    for row in rows:
        clips = ", ".join(row.clips) or "no clip"
        print(f"{row.session_id}  {row.created}  {row.exchanges} questions  {clips}")


def _open(
    chats: "ChatStore",
    resume: str | None,
    model: Path | None,
    engine: str,
    library: Path | None,
    activity: str | None,
) -> "ChatSession":
    from assistant.chat_session import ChatSession
    from assistant.coach import Coach

    if resume is not None:
        chats.model_of(resume)  # an unknown chat is told before the model is loaded
    coach = Coach.from_pretrained(model, engine=engine, library=library)
    coach.check_activity(activity)
    if resume is not None:
        return ChatSession.resume(coach, chats, resume)
    return ChatSession.begin(coach, chats)


class _Talk:
    """Reads lines, writes answers: to people as they are written, to programs one object each."""

    def __init__(
        self, session: "ChatSession", folder: Path, activity: str | None, as_json: bool
    ) -> None:
        self.session, self.folder, self.activity = session, folder, activity
        self.as_json = as_json
        self.failed = False

    def run(self, clip: Path | None) -> None:
        """The whole talk; exit code 1 if a line of piped input could not be answered."""
        self._note(f"chat {self.session.session_id}; go on later with --resume")
        if not self.session.knows_dialogues:
            self._note(UNTAUGHT)
        if clip is not None:
            self._add(clip)
        elif self.session.clips:
            self._tell("", iter([self.session.opening()]), "clip")
        self._note(HELP)
        if isinstance(sys.stdin, TextIOWrapper):  # bytes of another encoding end no chat
            sys.stdin.reconfigure(errors="replace")
        for line in self._lines(sys.stdin):
            if line == "/quit":
                break
            try:
                self._one(line)
            except PoiseError as fault:
                self.failed = True
                print(f"poise: {fault}", file=sys.stderr, flush=True)
        if self.failed and not sys.stdin.isatty():
            raise typer.Exit(1)

    def _lines(self, source: TextIO) -> Iterator[str]:
        while True:
            if source.isatty():
                print(PROMPT, end="", file=sys.stderr, flush=True)
            line = source.readline()
            if not line:
                return
            if line.strip():
                yield line.strip()

    def _one(self, line: str) -> None:
        name, _, rest = line.partition(" ")
        rest = rest.strip()
        if name == "/clip":
            if not rest:
                raise PoiseError("no clip was named", got=line, expected="/clip FILE")
            self._add(Path(rest).expanduser())
        elif name == "/show" and rest in ("demonstration", "correction"):
            self._tell(line, self.session.show("correction" if rest[0] == "c" else "demonstration"))
        elif name.startswith("/"):
            raise PoiseError("unknown command", got=line, expected=HELP)
        else:
            self._tell(line, self.session.ask(line))

    def _add(self, path: Path) -> None:
        from assistant.clip_input import load_clip, resolve_pose
        from assistant.coach_result import CoachInput
        from assistant.progress import progress_bar

        clip = load_clip(path, {}, None)
        if clip.pose is not None:
            pose = resolve_pose(clip).pose
        else:
            with progress_bar(f"pose of {clip.clip_id}") as progress:
                pose = resolve_pose(clip, progress=progress).pose
        given = CoachInput(clip.clip_id, pose, clip.views)
        opening = self.session.add_clip(given, activity=self.activity)
        self._tell(f"/clip {path}", iter([opening]), "clip")

    def _tell(self, asked: str, events: "Iterator[Event]", origin: str | None = None) -> None:
        from assistant.chat import Show

        before, text = len(self.session.exchanges), ""
        shown: list[dict[str, Any]] = []
        for event in events:
            if isinstance(event, Show):
                shown.append(self._show(event.motion))
                continue
            text += event
            if not self.as_json:
                print(event, end="", flush=True)
        if not self.as_json:
            print(flush=True)
            return
        kept = self.session.exchanges[before:]
        told = {
            "session": self.session.session_id,
            "clip": self.session.clips[-1].name if self.session.clips else None,
            "question": asked,
            "answer": text,
            "origin": kept[0].origin if kept else origin or "command",
            "shown": shown,
        }
        print(json.dumps(told), flush=True)

    def _show(self, motion: Any) -> dict[str, Any]:
        """Write the motion to a file and draw it."""
        from assistant.figure import draw_motion
        from assistant.pose.read import write_pose

        pose = self.session.motion(motion)
        if pose is None:
            if not self.as_json:
                print(f" [no {motion} of this clip]", end="")
            return {"motion": motion, "file": None}
        self.folder.mkdir(parents=True, exist_ok=True)
        place = self.session.clips[-1].place
        path = self.folder / f"{self.session.session_id}-{place}.{motion}.npz"
        write_pose(path, pose)
        if not self.as_json:
            print(f"\n[{motion}: {path}]\n{draw_motion(pose)}", flush=True)
        return {"motion": motion, "file": str(path)}

    def _note(self, text: str) -> None:
        print(text, file=sys.stderr, flush=True)
