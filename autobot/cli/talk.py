"""`autobot chat`: talk to a model from the terminal."""

from typing import Annotated

import typer

from autobot.cli.output import err, out, run
from autobot.client import Client
from autobot.settings import Settings


def register(app: typer.Typer) -> None:
    app.command()(chat)


def chat(
    message: Annotated[
        list[str] | None, typer.Argument(help="Ask once; else a conversation.")
    ] = None,
    model: Annotated[str, typer.Option(help="Which model answers.")] = "default",
) -> None:
    """Ask a model; without a message, hold a conversation until Ctrl-D."""
    history: list[dict[str, str]] = []
    if message:
        run(_turn(history, " ".join(message), model))
        return
    while True:
        try:
            said = typer.prompt(">", prompt_suffix=" ", err=True)
        except typer.Abort:
            return
        run(_turn(history, said, model))


async def _turn(history: list[dict[str, str]], said: str, model: str) -> None:
    history.append({"role": "user", "content": said})
    words: list[str] = []
    ran: dict[str, str] = {}
    async with Client.of(Settings()) as client:
        async for chunk in client.chat(history, model=model):
            ran = chunk.ran
            for choice in chunk.body.get("choices", []):
                text = choice["delta"].get("content") or ""
                words.append(text)
                out.print(text, end="", markup=False)
    out.print()
    history.append({"role": "assistant", "content": "".join(words)})
    err.print(
        f"[dim]{ran.get('model', '?')} · {ran.get('room', '?')} · {ran.get('device', '?')}[/]"
    )
