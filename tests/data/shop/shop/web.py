"""The web side: an order is a file that the worker takes."""

import os
import uuid
from pathlib import Path

from fastapi import FastAPI, Response

VERSION = (Path(__file__).resolve().parent.parent / "VERSION").read_text().strip()
DATA = Path(os.environ["SHOP_DATA"])

app = FastAPI()


@app.get("/health")
def health(response: Response) -> dict[str, object]:
    """Which version answers, of which release, and how many orders the worker has seen to."""
    response.headers["X-Release"] = os.environ.get("RELEASE_ID", "unreleased")
    return {"version": VERSION, "done": len(list(DATA.glob("*.done")))}


@app.post("/orders", status_code=202)
def order() -> dict[str, str]:
    """Leave an order for the worker."""
    name = uuid.uuid4().hex
    (DATA / f"{name}.order").touch()
    return {"order": name}
