// A certified OpenID provider on a loopback port, which signs in whomever `login_hint` names, or the page that it shows is told.
//
//   node provider.mjs --port 0 --client-id ID [--client-id ID2] --client-secret SECRET --redirect-uri URL
//                     [--auth-method client_secret_basic] [--alg RS256]
//
// Prints `ready ISSUER` when it listens. POST /rotate replaces its keys; the `login_hint` `nobody` turns back. Ends when
// its standard input does, so that it never outlives the test that started it.
import { generateKeyPairSync, randomUUID } from 'node:crypto';
import { createServer } from 'node:http';
import { parseArgs } from 'node:util';
import Provider from 'oidc-provider';

const { values: options } = parseArgs({
  options: {
    port: { type: 'string', default: '0' },
    'client-id': { type: 'string', multiple: true },
    'client-secret': { type: 'string' },
    'redirect-uri': { type: 'string' },
    'auth-method': { type: 'string', default: 'client_secret_basic' },
    alg: { type: 'string', default: 'RS256' },
  },
});

const KEY_TYPES = {
  RS256: ['rsa', { modulusLength: 2048 }],
  PS256: ['rsa', { modulusLength: 2048 }],
  ES256: ['ec', { namedCurve: 'P-256' }],
  EdDSA: ['ed25519', {}],
};

function freshKey() {
  const { privateKey } = generateKeyPairSync(...KEY_TYPES[options.alg]);
  return { ...privateKey.export({ format: 'jwk' }), kid: randomUUID(), use: 'sig', alg: options.alg };
}

// Whoever asks is given what is asked for; consent is not what is tested.
async function grantEverything(ctx) {
  const { client, session, provider } = ctx.oidc;
  const known = session.grantIdFor(client.clientId);
  if (known) return provider.Grant.find(known);
  const grant = new provider.Grant({ clientId: client.clientId, accountId: session.accountId });
  grant.addOIDCScope('openid email profile');
  await grant.save();
  return grant;
}

const configuration = {
  clients: options['client-id'].map((id) => ({
    client_id: id,
    client_secret: options['client-secret'],
    redirect_uris: [options['redirect-uri']],
    response_types: ['code'],
    grant_types: ['authorization_code'],
    token_endpoint_auth_method: options['auth-method'],
    id_token_signed_response_alg: options.alg,
  })),
  clientAuthMethods: [options['auth-method']],
  enabledJWA: { idTokenSigningAlgValues: [options.alg] },
  claims: { openid: ['sub'], email: ['email', 'email_verified'], profile: ['name'] },
  pkce: { required: () => true },
  cookies: { keys: [randomUUID()] },
  features: { devInteractions: { enabled: false } },
  interactions: { url: (_, interaction) => `/interaction/${interaction.uid}` },
  loadExistingGrant: grantEverything,
  findAccount: (_, id) => ({
    accountId: id,
    claims: () => ({ sub: id, email: id, email_verified: true, name: `Somebody at ${id}` }),
  }),
};

// What was granted is kept beside the provider, so a new one with new keys goes on where the old one was.
let provider;
let handle;
function start(issuer) {
  provider = new Provider(issuer, { ...configuration, jwks: { keys: [freshKey()] } });
  handle = provider.callback();
}

async function signIn(request, response) {
  const { params } = await provider.interactionDetails(request, response);
  let person = params.login_hint;
  if (!person && request.method === 'POST') {
    let form = '';
    for await (const chunk of request) form += chunk;
    person = new URLSearchParams(form).get('email');
  }
  if (!person) {
    response.writeHead(200, { 'content-type': 'text/html' });
    response.end('<title>Provider</title><form method="post"><label>Who are you? <input name="email"></label><button>Sign in</button></form>');
    return;
  }
  const result = person === 'nobody'
    ? { error: 'access_denied', error_description: 'the person turned back' }
    : { login: { accountId: person } };
  await provider.interactionFinished(request, response, result);
}

const server = createServer((request, response) => {
  if (request.method === 'POST' && request.url === '/rotate') {
    start(provider.issuer);
    response.writeHead(204).end();
  } else if (request.url.startsWith('/interaction/')) {
    signIn(request, response).catch((error) => response.writeHead(500).end(String(error)));
  } else {
    handle(request, response);
  }
});
server.listen(Number(options.port), '127.0.0.1', () => {
  const issuer = `http://127.0.0.1:${server.address().port}`;
  start(issuer);
  console.log(`ready ${issuer}`);
});
process.stdin.on('end', () => process.exit(0)).resume();
