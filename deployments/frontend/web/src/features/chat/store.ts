import { reactive } from "vue";

import { ApiError, toApiError } from "../../lib/errors";
import { provenance, type Provenance } from "../../lib/platform";
import { readSse } from "../../lib/sse";
import type { ChatTurn } from "./api";

export type Phase = "waiting" | "streaming" | "done" | "stopped" | "failed";

/** One question and its answer. Times are epoch milliseconds. */
export interface Exchange {
  id: number;
  question: string;
  answer: string;
  phase: Phase;
  problem: string;
  source: Provenance | null;
  /** Tokens of the answer: the engine's own count once it is known, until then the pieces received. */
  tokens: number;
  askedAt: number;
  firstAt: number | null;
  lastAt: number | null;
}

export interface ChatOptions {
  send: (turns: ChatTurn[], signal: AbortSignal) => Promise<Response>;
  onUnauthenticated: () => void;
  now?: () => number;
  /** Longest silence, in milliseconds, before an answer is given up. */
  patience?: number;
}

export interface Chat {
  exchanges: Exchange[];
  readonly busy: boolean;
  ask(question: string): Promise<void>;
  /** Asks the last question again, in place of its answer. */
  again(): Promise<void>;
  stop(): void;
  clear(): void;
}

/** A conversation held in memory only: it ends with the page. */
export function createChat(options: ChatOptions): Chat {
  const { send, onUnauthenticated, now = Date.now, patience = 120_000 } = options;
  const exchanges = reactive<Exchange[]>([]);
  const active = reactive<{ controller: AbortController | null }>({ controller: null });
  let nextId = 1;

  async function ask(question: string): Promise<void> {
    if (active.controller || question.trim() === "") return;
    const turns = history(exchanges, question);
    exchanges.push(newExchange(nextId++, question, now()));
    const exchange = exchanges[exchanges.length - 1] as Exchange;
    const controller = new AbortController();
    active.controller = controller;
    const silence = new ApiError("timeout", `Nothing came for ${patience / 1000} seconds.`);
    let alarm = setTimeout(() => controller.abort(silence), patience);
    const alive = () => {
      clearTimeout(alarm);
      alarm = setTimeout(() => controller.abort(silence), patience);
    };
    try {
      const response = await send(turns, controller.signal);
      exchange.source = provenance(response.headers);
      await receive(exchange, response, now, alive);
    } catch (cause) {
      const error = toApiError(controller.signal.reason === silence ? silence : cause);
      settle(exchange, error);
      if (error.kind === "unauthenticated") onUnauthenticated();
    } finally {
      clearTimeout(alarm);
      active.controller = null;
    }
  }

  return {
    exchanges,
    get busy() {
      return active.controller !== null;
    },
    ask,
    async again() {
      const last = active.controller ? undefined : exchanges.pop();
      if (last) await ask(last.question);
    },
    stop: () => active.controller?.abort(),
    clear() {
      active.controller?.abort();
      exchanges.length = 0;
    },
  };
}

function newExchange(id: number, question: string, askedAt: number): Exchange {
  return {
    id,
    question: question.trim(),
    answer: "",
    phase: "waiting",
    problem: "",
    source: null,
    tokens: 0,
    askedAt,
    firstAt: null,
    lastAt: null,
  };
}

/** What the model is told: the answered exchanges and the new question. */
function history(exchanges: Exchange[], question: string): ChatTurn[] {
  const turns: ChatTurn[] = [];
  for (const { question: user, answer } of exchanges.filter(({ answer }) => answer !== "")) {
    turns.push({ role: "user", content: user }, { role: "assistant", content: answer });
  }
  return [...turns, { role: "user", content: question.trim() }];
}

interface Chunk {
  model?: string;
  choices?: { delta?: { content?: string | null }; finish_reason?: string | null }[];
  usage?: { completion_tokens?: number } | null;
  error?: { message?: string };
}

async function receive(
  exchange: Exchange,
  response: Response,
  now: () => number,
  alive: () => void,
): Promise<void> {
  if (!response.body) throw new ApiError("refused", "The answer was empty.");
  let finish: string | null = null;
  for await (const { data } of readSse(response.body, alive)) {
    if (data === "[DONE]") break;
    const chunk = parse(data);
    if (chunk.error) throw new ApiError("refused", chunk.error.message ?? "The engine failed.");
    if (exchange.source && chunk.model) exchange.source.model ??= chunk.model;
    if (chunk.usage?.completion_tokens) exchange.tokens = chunk.usage.completion_tokens;
    const choice = chunk.choices?.[0];
    finish = choice?.finish_reason ?? finish;
    if (choice?.delta?.content) append(exchange, choice.delta.content, now());
  }
  if (finish === null) throw new ApiError("unreachable", "The answer was cut off before its end.");
  exchange.phase = "done";
  if (finish === "length") exchange.problem = "The answer reached its length limit.";
}

function parse(data: string): Chunk {
  try {
    return JSON.parse(data) as Chunk;
  } catch {
    throw new ApiError("refused", "The answer is not in the form that was expected.");
  }
}

function append(exchange: Exchange, text: string, at: number): void {
  exchange.answer += text;
  exchange.tokens += 1;
  exchange.firstAt ??= at;
  exchange.lastAt = at;
  exchange.phase = "streaming";
}

function settle(exchange: Exchange, error: ApiError): void {
  exchange.phase = error.kind === "aborted" ? "stopped" : "failed";
  exchange.problem = error.message;
}

/**
 * Tokens per second after the first one: the first token's time is spent reading the prompt, and has
 * its own figure. Null until there are two.
 */
export function speed(exchange: Exchange): number | null {
  const { tokens, firstAt, lastAt } = exchange;
  if (tokens < 2 || firstAt === null || lastAt === null || lastAt <= firstAt) return null;
  return ((tokens - 1) * 1000) / (lastAt - firstAt);
}
