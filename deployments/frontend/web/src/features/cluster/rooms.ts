/** The rooms that come along, in the order they are always shown; an owner's own follow them. */
export const ROOMS = ["main", "frontend", "npu", "redis", "llm", "browser"] as const;
export type RoomName = (typeof ROOMS)[number];
