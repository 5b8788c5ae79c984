export type ErrorKind =
  "aborted" | "timeout" | "unreachable" | "unauthenticated" | "forbidden" | "refused";

/** A failed call, with a message that can be shown to a person as it is. */
export class ApiError extends Error {
  override name = "ApiError";

  constructor(
    readonly kind: ErrorKind,
    message: string,
    readonly status: number | null = null,
  ) {
    super(message);
  }
}

/** What went wrong, from anything thrown by a call. */
export function toApiError(cause: unknown): ApiError {
  if (cause instanceof ApiError) return cause;
  if (cause instanceof DOMException && cause.name === "AbortError")
    return new ApiError("aborted", "Stopped.");
  if (cause instanceof DOMException && cause.name === "TimeoutError")
    return new ApiError("timeout", "There was no answer in time.");
  if (cause instanceof TypeError)
    // fetch() and a broken stream both report a lost connection as TypeError, with no detail.
    return new ApiError("unreachable", "The connection to main failed.");
  return new ApiError("refused", cause instanceof Error ? cause.message : String(cause));
}

/** The error that an unsuccessful response carries, in whichever of the platform's shapes it came. */
export async function errorOf(response: Response): Promise<ApiError> {
  const body = await response.text().catch(() => "");
  const said = detailIn(body);
  const { status } = response;
  if (status === 401) return new ApiError("unauthenticated", "This key is not accepted.", status);
  if (status === 403) {
    const kind = said?.blocked ? "refused" : "forbidden";
    return new ApiError(kind, sentence(said?.detail ?? "This key may not do that"), status);
  }
  const detail = sentence(said?.detail ?? `main answered with HTTP status ${status}`);
  const wait = Number(response.headers.get("retry-after"));
  const advice = wait > 0 ? ` Try again in ${wait} s.` : "";
  return new ApiError("refused", detail + advice, status);
}

/** Detail text of problem+json, of OpenAI's error shape and of Ollama's. */
export function detailIn(body: string): { detail: string; blocked: boolean } | null {
  let json: unknown;
  try {
    json = JSON.parse(body);
  } catch {
    return null;
  }
  if (typeof json !== "object" || json === null) return null;
  const { detail, title, error, type } = json as Record<string, unknown>;
  const nested =
    typeof error === "object" && error !== null ? (error as { message?: unknown }) : {};
  const text = [detail, nested.message, error, title].find((part) => typeof part === "string");
  if (typeof text !== "string") return null;
  return { detail: text, blocked: typeof type === "string" && type.endsWith("blocked-address") };
}

function sentence(text: string): string {
  const trimmed = text.trim();
  return /[.!?]$/.test(trimmed) ? trimmed : `${trimmed}.`;
}
