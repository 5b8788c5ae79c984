import { reactive } from "vue";

import { provenance, type Provenance } from "../../lib/platform";
import { toApiError } from "../../lib/errors";
import { webAddress } from "../../lib/format";

export interface Picture {
  address: string;
  /** Object URL of the image: revoked when the next picture replaces it. */
  src: string;
  bytes: number;
  /** Milliseconds from the request to the last byte. */
  took: number;
  source: Provenance;
}

export interface Screenshots {
  picture: Picture | null;
  problem: string;
  busy: boolean;
  take(typed: string): Promise<void>;
  stop(): void;
}

export interface ScreenshotOptions {
  shoot: (url: string, signal: AbortSignal) => Promise<Response>;
  onUnauthenticated: () => void;
  /** Milliseconds until a page that does not finish is given up. */
  deadline?: number;
}

export function createScreenshots(options: ScreenshotOptions): Screenshots {
  const { shoot, onUnauthenticated, deadline = 60_000 } = options;
  let controller = new AbortController();

  const store: Screenshots = reactive({
    picture: null,
    problem: "",
    busy: false,
    stop: () => controller.abort(),
    async take(typed: string) {
      const address = webAddress(typed);
      store.problem = address ? "" : "That is not a web address.";
      if (!address || store.busy) return;
      controller = new AbortController();
      store.busy = true;
      try {
        const signal = AbortSignal.any([controller.signal, AbortSignal.timeout(deadline)]);
        replace(await load(address, signal));
      } catch (cause) {
        const error = toApiError(cause);
        store.problem = error.message;
        if (error.kind === "unauthenticated") onUnauthenticated();
      } finally {
        store.busy = false;
      }
    },
  });

  async function load(address: string, signal: AbortSignal): Promise<Picture> {
    const started = performance.now();
    const response = await shoot(address, signal);
    const image = await response.blob();
    if (!image.type.startsWith("image/")) throw new Error("What came back is not an image.");
    return {
      address,
      src: URL.createObjectURL(image),
      bytes: image.size,
      took: performance.now() - started,
      source: provenance(response.headers),
    };
  }

  function replace(picture: Picture): void {
    if (store.picture) URL.revokeObjectURL(store.picture.src);
    store.picture = picture;
  }

  return store;
}
