"""What can be done to a request: the actions for the rules of a proxy, besides `passed`."""

from tests.servers.proxy import Action, Answer, Exchange, Request, passed


def delayed(seconds: float) -> Action:
    """Do it after a while."""

    def act(exchange: Exchange) -> None:
        exchange.proxy.wait(seconds)
        passed(exchange)

    return act


def cut_upload(after: int) -> Action:
    """Let so many bytes of the body reach the server; then both lose their connection."""

    def act(exchange: Exchange) -> None:
        exchange.client.server.sendall(exchange.request.head + exchange.body(after))
        exchange.client.end()

    return act


def cut_download(after: int) -> Action:
    """Do it, but end the connection after so many bytes of the answer's body."""

    def act(exchange: Exchange) -> None:
        exchange.tell(exchange.ask(), after)
        exchange.client.end()

    return act


def reset(exchange: Exchange) -> None:
    """Do nothing: the client's connection is reset."""
    exchange.reset()


def swallowed(exchange: Exchange) -> None:
    """Do it, and end the connection without an answer."""
    exchange.ask()
    exchange.client.end()


def answered(status: int, code: str = "Fault", **headers: str) -> Action:
    """Do nothing, and answer so; `Retry_After` is a header's name."""

    def act(exchange: Exchange) -> None:
        exchange.body()
        exchange.tell(_error(exchange.request, status, code, headers))

    return act


def done_but_answered(status: int, code: str = "Fault", **headers: str) -> Action:
    """Do it, and answer so instead: to the client the true answer is lost."""

    def act(exchange: Exchange) -> None:
        exchange.ask()
        exchange.tell(_error(exchange.request, status, code, headers))

    return act


def of_wrong_length(by: int) -> Action:
    """Do it, and say that the answer's body is so much longer than it is; then it ends."""

    def act(exchange: Exchange) -> None:
        answer = exchange.ask()
        length = answer.length + by
        exchange.tell(Answer(answer.status, answer.headers, answer.body, length))
        exchange.client.end()

    return act


def flipped(at: int) -> Action:
    """Do it, with one bit of one byte of the answer's body wrong, if that has so many."""

    def act(exchange: Exchange) -> None:
        answer = exchange.ask()
        body = bytearray(answer.body)
        if at < len(body):
            body[at] ^= 1
        exchange.tell(Answer(answer.status, answer.headers, bytes(body), answer.length))

    return act


def stale(exchange: Exchange) -> None:
    """Give the oldest answer that the same request had; KeyError, if there was none."""
    exchange.body()
    exchange.tell(exchange.proxy.oldest(exchange.request))


def stalled(after: int | None = None) -> Action:
    """Answer nothing any more and take no byte of the body, the connection stays.

    With a number, do it and stall after so many bytes of the answer's body.
    """

    def act(exchange: Exchange) -> None:
        if after is not None:
            exchange.tell(exchange.ask(), after)
        exchange.proxy.wait()
        exchange.client.end()

    return act


def gone(exchange: Exchange) -> None:
    """Do nothing: all connections are cut, and none is accepted until the proxy listens again."""
    exchange.proxy.refuse()
    exchange.reset()


def _error(request: Request, status: int, code: str, headers: dict[str, str]) -> Answer:
    text = f'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{code}</Code></Error>'.encode()
    named = [(name.replace("_", "-"), value) for name, value in headers.items()]
    body = b"" if request.method == "HEAD" else text
    return Answer(status, [("Content-Type", "application/xml"), *named], body, len(text))
