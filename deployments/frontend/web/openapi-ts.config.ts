import { defineConfig } from "@hey-api/openapi-ts";

// `openapi.json` is kept in git, so a build needs no platform; tests/contract/test_web_document.py
// holds it to what the rooms say. What is generated is not kept.
export default defineConfig({
  input: "./openapi.json",
  // The generator's own code is not written for `exactOptionalPropertyTypes`; its types are used.
  output: { path: "src/generated", clean: true, header: ["// @ts-nocheck"] },
  plugins: ["@hey-api/client-fetch", "@hey-api/typescript", "@hey-api/sdk"],
});
