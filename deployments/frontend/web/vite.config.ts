import vue from "@vitejs/plugin-vue";
import { defineConfig } from "vitest/config";

export default defineConfig({
  plugins: [vue()],
  define: {
    // What of these libraries the page does not use is left out of it.
    __VUE_OPTIONS_API__: false,
    __VUE_I18N_FULL_INSTALL__: false,
    __VUE_I18N_LEGACY_API__: false,
    __INTLIFY_PROD_DEVTOOLS__: false,
  },
  build: {
    target: "es2023",
    // The page's Content-Security-Policy refuses data: fonts and inline code, so nothing is inlined.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    manifest: true, // which files are loaded first, for the test of their size
  },
  server: {
    // `npm run dev` shows source edits at once against a platform that is up: the room's own page
    // on 5173 keeps its port, and answers what the browser asks first.
    port: 5174,
    proxy: { "/config.json": "http://127.0.0.1:5173" },
  },
  test: { environment: "node", include: ["src/**/*.test.ts"] },
});
