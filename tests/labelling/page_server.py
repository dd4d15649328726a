"""A small server with the interface that the pages use, for tests of the pages alone.

One campaign, one table of answers in SQLite, committed before they are acknowledged. Nothing here
guards anything: the server of the library does, and is tested on its own.

    python -m tests.labelling.page_server FOLDER PORT FORMS

`FORMS` is JSON such as `{"comparison": 20}`; `{"training": 2}` among it adds items for practice.
"""

import hashlib
import json
import sqlite3
import sys
import threading
import time
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import FastAPI, Request, Response
from fastapi.responses import FileResponse, JSONResponse

from rlhf_core.environments.factory import Environment
from rlhf_core.labelling.clips import Cache, describe, render
from rlhf_core.labelling.play import PlaySessions
from tests.labelling.clip_examples import clips_of, experiment_in, request_of

PAGE = Path(__file__).parents[2] / "rlhf_core" / "labelling" / "page"
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; media-src "
    "'self' blob:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
TOKEN, SECRET, CSRF = "invitation", "owner-secret", "csrf-token"


def create_app(folder: Path, forms: dict[str, int]) -> FastAPI:
    training = forms.pop("training", 0)
    # Whoever plays plays few steps.
    environment: dict[str, Any] = {"id": "Pendulum-v1"}
    if "demonstration" in forms:
        environment["time_limit"] = 30
    experiment = experiment_in(environment)
    segments = clips_of(experiment, 10, 25)
    request = request_of(segments, forms)
    cache = Cache(folder / "clips", 10**8)
    drawing = threading.Lock()
    database = sqlite3.connect(folder / "answers.db", check_same_thread=False)
    database.executescript(
        "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;"
        "CREATE TABLE IF NOT EXISTS answers (key TEXT PRIMARY KEY, assignment TEXT, "
        "sequence INTEGER, answer TEXT, seconds REAL, events TEXT, received REAL);"
        "CREATE TABLE IF NOT EXISTS people (name TEXT);"
    )
    writing = threading.Lock()
    questions = [
        (f"q{index}", kind, [int(clip) for clip in items])
        for index, (kind, items) in enumerate(
            (kind, items) for kind, queries in request.queries.items() for items in queries.items
        )
    ]
    app = FastAPI()

    def answered() -> dict[str, Any]:
        rows = database.execute("SELECT assignment, answer FROM answers ORDER BY sequence")
        return {assignment: json.loads(answer) for assignment, answer in rows}

    def clip(position: int, question: str, place: int) -> dict[str, Any]:
        known = describe(experiment, segments, position)
        return {
            "view": known.view, "url": f"/clips/{question}/{place}", "seconds": known.seconds,
            "frames": known.frames, "rate": known.rate, "alt": known.alt, "columns": known.columns,
        }  # fmt: skip

    def item(index: int) -> dict[str, Any]:
        question, kind, positions = questions[index]
        return {
            "assignment": f"a{index}", "question": question, "index": index,
            "stage": "training" if index < training else "work", "form": kind,
            "settings": json.loads(request.queries[kind].form),
            "clips": [clip(one, question, place) for place, one in enumerate(positions)],
            "lease_until": time.time() + 900, "answer": answered().get(f"a{index}"),
        }  # fmt: skip

    def refusal(status: int, text: str) -> JSONResponse:
        return JSONResponse({"error": text}, status)

    @app.middleware("http")
    async def guarded(call: Request, following: Any) -> Response:
        path = call.url.path
        owner = path.startswith("/api/owner/") and not path.endswith(("login", "session"))
        signed = call.cookies.get("owner" if owner else "annotator")
        if path.startswith("/api/") and path not in ("/api/join", "/api/owner/login"):
            if not path.endswith("/owner/session") and signed is None:
                return refusal(401, "You are not signed in.")
            if call.method != "GET" and call.headers.get("X-CSRF-Token") != CSRF:
                return refusal(403, "The page's token is missing.")
        response: Response = await following(call)
        response.headers["Content-Security-Policy"] = POLICY
        return response

    @app.get("/health")
    def health() -> dict[str, str]:
        return {}

    @app.get("/label")
    @app.get("/join/{token}")
    def annotator(token: str = "") -> FileResponse:
        return FileResponse(PAGE / "annotator.html")

    @app.get("/owner")
    def owner() -> FileResponse:
        return FileResponse(PAGE / "owner.html")

    @app.get("/static/{file:path}")
    def static(file: str) -> FileResponse:
        return FileResponse(PAGE / file, headers={"Cache-Control": "no-cache"})

    @app.get("/clips/{question}/{place}")
    def media(question: str, place: int) -> Response:
        positions = questions[int(question[1:])][2]
        key = hashlib.sha256(f"{positions[place]}".encode()).hexdigest()
        with drawing:
            content = cache.get(key)
            if content is None:
                content = render(experiment, segments, positions[place]).content
                cache.put(key, content)
        known = describe(experiment, segments, positions[place])
        kind = "image/webp" if known.view == "film" else "image/svg+xml"
        headers = {"Cache-Control": "private, max-age=86400, immutable"}
        return Response(content, media_type=kind, headers=headers)

    @app.post("/api/join")
    async def join(call: Request) -> JSONResponse:
        sent = await call.json()
        if sent["token"] != TOKEN:
            return refusal(404, "This invitation does not exist or is over.")
        with writing:
            database.execute("INSERT INTO people VALUES (?)", [sent["name"]])
            database.commit()
        response = JSONResponse({"csrf": CSRF, "annotator": {"name": sent["name"], "number": 0}})
        response.set_cookie("annotator", "0", httponly=True, samesite="strict")
        return response

    @app.get("/api/session")
    def session() -> dict[str, Any]:
        (name,) = database.execute("SELECT name FROM people").fetchone()
        return {
            "csrf": CSRF, "page_version": "1", "annotator": {"name": name, "number": 0},
            "campaign": {
                "title": "Swing the pendulum up", "status": "open", "forms": list(request.queries),
                "instructions": "The pendulum should swing up and stand still at the top.",
                "training": training, "answers_per_question": 1,
            },
        }  # fmt: skip

    @app.get("/api/progress")
    def progress() -> dict[str, Any]:
        given = answered()
        skips = [one for one, answer in given.items() if answer in SKIPS]
        total = len(questions) - training
        work = [one for one in given if int(one[1:]) >= training]
        items = [
            {"assignment": one, "index": int(one[1:]),
             "state": "skipped" if one in skips else "answered"}
            for one in sorted(given, key=lambda name: int(name[1:]))
        ]  # fmt: skip
        return {
            "done": len(work), "skipped": len(skips), "total": total,
            "remaining": total - len(work), "seconds_per_answer": 4.0,
            "training": {"done": len(given) - len(work), "total": training}, "items": items,
        }  # fmt: skip

    @app.post("/api/next")
    async def following(call: Request) -> dict[str, Any]:
        count, given = (await call.json())["count"], answered()
        todo = [index for index in range(len(questions)) if f"a{index}" not in given]
        return {"items": [item(index) for index in todo[:count]], "waiting": False}

    @app.get("/api/items/{assignment}")
    def one(assignment: str) -> dict[str, Any]:
        return item(int(assignment[1:]))

    @app.post("/api/answers")
    async def answer(call: Request) -> JSONResponse:
        sent = await call.json()
        with writing:
            row = [sent[name] for name in ("key", "assignment", "sequence")]
            row += [json.dumps(sent["answer"]), sent["seconds"], json.dumps(sent["events"])]
            cursor = database.execute(
                "INSERT OR IGNORE INTO answers VALUES (?, ?, ?, ?, ?, ?, ?)", [*row, time.time()]
            )
            database.commit()
        feedback = None
        if int(sent["assignment"][1:]) < training:
            correct = sent["answer"].get("choice") == "left"
            feedback = {"correct": correct, "text": "The left pendulum is nearer to the top."}
        receipt = {"receipt": 1, "counted": True, "late": False, "feedback": feedback}
        return JSONResponse(receipt, 201 if cursor.rowcount else 200)

    _play(app, experiment.environment, folder)
    _owner(app, lambda: [item(index) for index in range(min(3, len(questions)))])
    return app


SKIPS: list[Any] = [{"choice": "skip"}, {"skip": True}]


def _play(app: FastAPI, environment: Environment, folder: Path) -> None:
    sessions = PlaySessions()

    def frame(name: str, steps: int) -> str:
        return f"/api/play/frame/{name}/{steps}"

    @app.post("/api/play/start")
    async def start(call: Request) -> dict[str, Any]:
        name, episode = sessions.start(environment, (await call.json())["assignment"])
        return {
            "session": name, "frame_url": frame(name, 0), "mode": episode.mode,
            "rate": episode.rate, "idle": episode.idle,
            "actions": [{"label": one.label, "key": one.key} for one in episode.actions],
        }  # fmt: skip

    @app.post("/api/play/step")
    async def step(call: Request) -> dict[str, Any]:
        sent = await call.json()
        state = sessions.step(sent["session"], "a0", sent["action"])
        address = frame(state.session, state.steps)
        return {"frame_url": address, "steps": state.steps, "done": state.done}

    @app.get("/api/play/frame/{name}/{steps}")
    def picture(name: str, steps: int) -> Response:
        return Response(sessions.frame(name, "a0"), media_type="image/webp")

    @app.post("/api/play/end")
    async def end(call: Request) -> dict[str, int]:
        played = sessions.end((await call.json())["session"], "a0")
        (folder / "episode.json").write_text(json.dumps(played.actions.ravel().tolist()))
        return {"steps": int(played.lengths[0])}


def _owner(app: FastAPI, items: Any) -> None:
    """What the owner's page is shown: a campaign with numbers that do not change."""
    status = {"status": "open"}
    invites: list[dict[str, Any]] = [
        {"id": "1", "name": "Colleagues", "uses": None, "used": 3, "expires": time.time() + 86400,
         "revoked": False},
        {"id": "2", "name": "Ada", "uses": 1, "used": 1, "expires": None, "revoked": False},
    ]  # fmt: skip
    summary: dict[str, Any] = {
        "id": "c1", "title": "Swing the pendulum up", "questions": 200, "complete": 126,
        "answers": 148, "annotators": 3, "created": time.time() - 7200,
        "batches": [
            {"round": 0, "part": 0, "questions": 100, "complete": 100, "deadline": None},
            {"round": 1, "part": 0, "questions": 100, "complete": 26,
             "deadline": time.time() + 7200},
        ],
        "estimated_end": time.time() + 4000, "cost": 14.8,
    }  # fmt: skip
    names = ["Ada Lovelace", "Grace Hopper", "<b>Alan</b> Turing"]

    @app.post("/api/owner/login")
    async def login(call: Request) -> JSONResponse:
        if (await call.json())["secret"] != SECRET:
            return JSONResponse({"error": "That is not the secret."}, 401)
        response = JSONResponse({"csrf": CSRF})
        response.set_cookie("owner", "1", httponly=True, samesite="strict")
        return response

    @app.post("/api/owner/logout")
    def logout() -> JSONResponse:
        response = JSONResponse({})
        response.delete_cookie("owner")
        return response

    @app.get("/api/owner/session")
    def session(call: Request) -> JSONResponse:
        if "owner" not in call.cookies:
            return JSONResponse({"error": "You are not signed in."}, 401)
        return JSONResponse({"csrf": CSRF})

    @app.get("/api/owner/campaigns")
    def campaigns() -> list[dict[str, Any]]:
        return [{**summary, **status}]

    @app.get("/api/owner/campaigns/c1")
    def campaign() -> dict[str, Any]:
        annotators = [
            {"number": number, "name": name, "answers": 60 - 12 * number, "skips": number,
             "gold_correct": 9 - 3 * number, "gold": 10, "median_seconds": 3.2 + number,
             "left_share": 0.48 + 0.2 * (number == 2), "agreement": 0.91 - 0.1 * number,
             "last_answer": time.time() - 60 * 7**number, "active": True}
            for number, name in enumerate(names)
        ]  # fmt: skip
        choices = [{"choice": "left"}, {"choice": "right"}, {"choice": "equal"}]
        return {
            **summary, **status, "agreement": {"pairs": 44, "share": 0.84, "kappa": 0.66},
            "annotators": annotators,
            "disagreements": [
                {"question": one["question"], "form": one["form"], "clips": one["clips"],
                 "answers": [{"annotator": at, "answer": choices[at]} for at in range(3)]}
                for one in items() if one["form"] == "comparison"
            ],
            "invites": invites, "answers_by_hour": [
                {"hour": time.time() - 3600 * (11 - at), "answers": count}
                for at, count in enumerate([0, 2, 9, 14, 22, 18, 25, 12, 4, 16, 20, 6])
            ],
        }  # fmt: skip

    @app.post("/api/owner/campaigns/c1/invites")
    async def invite(call: Request) -> dict[str, str]:
        sent = await call.json()
        number = str(len(invites) + 1)
        expires = time.time() + 3600 * sent["hours"]
        given = {"id": number, "name": sent["name"], "uses": sent["uses"], "used": 0}
        invites.append({**given, "expires": expires, "revoked": False})
        return {"id": number, "url": f"http://127.0.0.1:8000/join/{TOKEN}"}

    @app.delete("/api/owner/campaigns/c1/invites/{number}")
    def revoke(number: str) -> dict[str, Any]:
        next(one for one in invites if one["id"] == number)["revoked"] = True
        return {}

    @app.post("/api/owner/campaigns/c1/{action}")
    def change(action: str) -> dict[str, Any]:
        status["status"] = {"pause": "paused", "open": "open", "close": "closed"}.get(
            action, status["status"]
        )
        return {}


if __name__ == "__main__":
    uvicorn.run(
        create_app(Path(sys.argv[1]), json.loads(sys.argv[3])),
        host="127.0.0.1", port=int(sys.argv[2]), log_level="warning",
    )  # fmt: skip
