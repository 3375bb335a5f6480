"""FastAPI: a router whose handlers ask for the same database session as a job."""

import sqlite3
from typing import Annotated, Any

from fastapi import APIRouter, Body, Depends, HTTPException, Request

from examples import jobs
from examples.database import get_session

Session = Annotated[sqlite3.Connection, Depends(get_session)]

router = APIRouter()


@router.post("/orders", status_code=202)
async def order(item: Annotated[str, Body()], request: Request, session: Session) -> dict[str, Any]:
    number = session.execute("INSERT INTO orders (item) VALUES (?)", (item,)).lastrowid
    session.commit()  # first: the job may begin before this handler has returned
    assert number is not None
    job = await request.app.state.queue.enqueue(jobs.charge, number)
    return {"order": number, "job": job.id}


@router.get("/orders/{number}")
async def order_status(number: int, session: Session) -> dict[str, Any]:
    found = session.execute("SELECT item, paid FROM orders WHERE id = ?", (number,)).fetchone()

    if found is None:
        raise HTTPException(404, f"there is no order {number}")

    return {"item": found[0], "paid": bool(found[1])}
