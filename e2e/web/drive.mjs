// Drives a real browser: signs a person in at the demo issuer by hand, as a certified OIDC client sees
// it, and runs the page that uses the generated client. Reads its order from standard input, prints JSON.
import { createServer } from "node:http";
import { json } from "node:stream/consumers";
import * as oidc from "openid-client";
import { chromium } from "playwright-core";

const order = await json(process.stdin);

// A page of another origin than the gateway's, so that CORS is part of what is tried.
const page_server = createServer((request, response) => {
  if (request.url === "/page.js") {
    response.setHeader("content-type", "text/javascript");
    response.end(order.script);
    return;
  }
  response.setHeader("content-type", "text/html");
  response.end('<!doctype html><meta charset="utf-8"><title>e2e</title><script type="module" src="/page.js"></script>');
});
await new Promise((resolve) => page_server.listen(order.pagePort, "127.0.0.1", resolve));
const origin = `http://127.0.0.1:${order.pagePort}`;

const browser = await chromium.launch({
  executablePath: order.chromium,
  args: [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
  ],
});
try {
  // A profile of its own; the local authority is not in Chromium's store.
  const context = await browser.newContext({ ignoreHTTPSErrors: true });
  const tab = await context.newPage();
  const complaints = [];
  tab.on("console", (message) => message.type() === "error" && complaints.push(message.text()));
  const signedIn = await signIn(tab);
  await tab.goto(`${origin}/`);
  await tab.waitForFunction(() => typeof window.story === "function");
  const scene = { ...order.scene, member: signedIn.accessToken };
  const story = await tab.evaluate((scene) => window.story(scene), scene);
  const refusals = await tab.evaluate((scene) => window.refusals(scene), scene);
  const trials = await tab.evaluate((scene) => window.trials(scene), scene);
  console.log(JSON.stringify({ signedIn: signedIn.facts, story, refusals, trials, complaints }));
} finally {
  await browser.close();
  page_server.close();
}

async function signIn(tab) {
  const configuration = await oidc.discovery(new URL(order.issuer), order.client, undefined, oidc.None());
  const verifier = oidc.randomPKCECodeVerifier();
  const [state, nonce] = [oidc.randomState(), oidc.randomNonce()];
  const url = oidc.buildAuthorizationUrl(configuration, {
    redirect_uri: `${origin}/callback`,
    scope: "openid profile offline_access",
    code_challenge: await oidc.calculatePKCECodeChallenge(verifier),
    code_challenge_method: "S256",
    state,
    nonce,
  });
  await tab.goto(order.issuer);
  await tab.screenshot({ path: order.screenshot.replace("sign-in", "who-there-is"), fullPage: true });
  await tab.goto(url.href);
  await tab.screenshot({ path: order.screenshot, fullPage: true });
  const people = await tab.getByRole("button").count();
  const landmarks = await tab.getByRole("main").count();
  await tab.getByRole("button", { name: order.person }).click();
  await tab.waitForURL((arrived) => arrived.href.startsWith(`${origin}/callback`));
  const tokens = await oidc.authorizationCodeGrant(configuration, new URL(tab.url()), {
    pkceCodeVerifier: verifier,
    expectedState: state,
    expectedNonce: nonce,
  });
  const claims = tokens.claims();
  const who = await oidc.fetchUserInfo(configuration, tokens.access_token, claims.sub);
  const again = await oidc.refreshTokenGrant(configuration, tokens.refresh_token);
  return {
    accessToken: again.access_token,
    facts: { people, landmarks, name: who.name, refreshed: again.access_token !== tokens.access_token },
  };
}
