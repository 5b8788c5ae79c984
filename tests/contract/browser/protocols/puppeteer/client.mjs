// puppeteer-core against a remote browser: node client.mjs WS_URL SITE TRAP_PORT -> JSON on stdout.
import puppeteer from "puppeteer-core";

const [, , browserWSEndpoint, site, trap] = process.argv;
const browser = await puppeteer.connect({ browserWSEndpoint, protocolTimeout: 20000 });
const said = {};

async function on(path, look) {
  const page = await browser.newPage();
  try {
    await page.goto(site + path);
    return await look(page);
  } catch (error) {
    return `failed: ${error.message}`;
  } finally {
    await page.close();
  }
}
const text = (page, selector) => page.$eval(selector, (element) => element.textContent);
const filled = async (page, selector) => {
  await page.waitForFunction((s) => document.querySelector(s)?.textContent, {}, selector);
  return text(page, selector);
};

said.form = await on("/form", async (page) => {
  await page.type("[name=name]", "Ann");
  await page.select("[name=size]", "l");
  await Promise.all([page.waitForNavigation(), page.click("button")]);
  return text(page, "#got");
});
said.login = await on("/login", async (page) => {
  await page.type("[name=user]", "ann");
  await page.type("[name=password]", "tea");
  await Promise.all([page.waitForNavigation(), page.keyboard.press("Enter")]);
  return text(page, "#who");
});
said.download = await on("/files", async (page) => {
  const session = await browser.target().createCDPSession();
  const guid = new Promise((done) =>
    session.on("Browser.downloadProgress", (e) => e.state === "completed" && done(e.guid)),
  );
  const options = { behavior: "allowAndName", downloadPath: "/nowhere", eventsEnabled: true };
  await session.send("Browser.setDownloadBehavior", options);
  await page.click("#get");
  const url = new URL(browserWSEndpoint.replace("ws://", "http://"));
  const file = `${url.origin}/api/browser/cdp/downloads/${await guid}`;
  const authorization = `Bearer ${url.password}`;
  return (await fetch(file, { headers: { authorization } })).text();
});
said.upload = await on("/files", async (page) => {
  await page.$eval("[type=file]", (field) => {
    const given = new DataTransfer();
    given.items.add(new File(["12345"], "a.txt"));
    field.files = given.files;
  });
  await Promise.all([page.waitForNavigation(), page.click("button")]);
  return text(page, "#got");
});
said.socket = await on("/socket", (page) => filled(page, "#said"));
said.worker = await on("/sw", (page) => filled(page, "#got"));
said.popup = await on("/popup", async (page) => {
  const [popup] = await Promise.all([
    new Promise((done) => page.once("popup", done)),
    page.click("button"),
  ]);
  await popup.waitForSelector("form");
  return popup.title();
});
said.frame = await on("/frame", async (page) => {
  const frame = await (await page.waitForSelector("iframe")).contentFrame();
  await frame.type("[name=name]", "inside");
  return frame.$eval("[name=name]", (field) => field.value);
});
said.dialog = await on("/dialog", async (page) => {
  page.on("dialog", (dialog) => dialog.accept());
  await page.click("button");
  return text(page, "button");
});
const refused = async (url) => {
  const page = await browser.newPage();
  return page.goto(url).then(() => "loaded", (error) => error.message);
};
said.blocked = await refused(`http://127.0.0.1:${trap}/`);
said.file = await refused("file:///etc/passwd");
const context = await browser.createBrowserContext({
  proxyServer: "direct://",
  proxyBypassList: ["*"],
});
const page = await context.newPage();
said.proxy = await page
  .goto(`http://127.0.0.1:${trap}/`)
  .then(() => "loaded", (error) => error.message);
console.log(JSON.stringify(said));
await browser.disconnect();
