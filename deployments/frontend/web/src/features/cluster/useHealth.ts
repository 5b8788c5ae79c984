import { defineStore } from "pinia";
import { computed, onScopeDispose, type ComputedRef } from "vue";

import { useSession } from "../session/store";
import { readHealth } from "./api";
import { createHealthMonitor } from "./health";

/** The platform's health, read every two seconds from the sign-in to its end. */
export const useHealth = defineStore("health", () => {
  const session = useSession();
  const monitor = createHealthMonitor({
    read: (signal) => readHealth(session.client, signal),
    onUnauthenticated: session.refused,
  });
  monitor.start();
  onScopeDispose(() => monitor.stop());
  return { health: monitor.store, wake: () => monitor.wake() };
});

export interface Absence {
  room: string;
  reason: string;
}

/** Why something that needs `room` cannot work now; null when the room is up or not known. */
export function useAbsence(room: string): ComputedRef<Absence | null> {
  const { health } = useHealth();
  return computed(() => {
    if (health.outage) return { room: "main", reason: health.outage.reason };
    const seen = health.rooms.find(({ name }) => name === room);
    return seen?.state === "down" ? { room, reason: seen.reason ?? "" } : null;
  });
}
