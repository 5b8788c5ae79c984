import { createChatCompletion } from "../../generated";
import type { Client } from "../../generated/client";

export interface ChatTurn {
  role: "user" | "assistant";
  content: string;
}

/** The answer as it is made: server-sent events, whose source is in the response's headers. */
export async function askModel(
  client: Client,
  messages: ChatTurn[],
  signal: AbortSignal,
): Promise<Response> {
  const answer = await createChatCompletion<true>({
    client,
    signal,
    parseAs: "stream",
    body: { model: "default", messages, stream: true, stream_options: { include_usage: true } },
  });
  return answer.response;
}
