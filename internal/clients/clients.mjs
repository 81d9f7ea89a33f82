// Vercel's SDK and command line, unchanged, against the emulator alone and
// against gateway, worker and emulator. Started by ./run.
import {execFile, spawn} from 'node:child_process'
import {mkdirSync, mkdtempSync, rmSync, writeFileSync} from 'node:fs'
import {createServer} from 'node:net'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {Vercel} from '@vercel/sdk'

const edgepurge = process.argv[2]
const project = 'prj_clients'
const vercelToken = 'vercelTokenOfTheWorker0123'
const apiKey = 'gatewayKeyOfTheClients0123'
const home = mkdtempSync(join(tmpdir(), 'edgepurge-clients-'))
const children = []
const results = []

const sleep = ms => new Promise(done => setTimeout(done, ms))

function freePort() {
  return new Promise(done => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const {port} = server.address()
      server.close(() => done(port))
    })
  })
}

function start(name, command, args, env = {}) {
  const child = spawn(command, args, {env: {PATH: process.env.PATH, HOME: home, ...env}, stdio: ['ignore', 'pipe', 'pipe']})
  child.log = ''
  for (const stream of [child.stdout, child.stderr]) stream.on('data', text => { child.log += text })
  child.on('error', err => { child.log += err })
  child.label = name
  children.push(child)
  return child
}

async function until(what, test, ms = 20_000) {
  for (const end = Date.now() + ms; ;) {
    try { if (await test()) return } catch {}
    if (Date.now() > end) throw new Error(`${what} not within ${ms} ms`)
    await sleep(50)
  }
}

async function check(face, name, test) {
  let fault = ''
  try { fault = await test() ?? '' } catch (err) { fault = String(err?.message ?? err) }
  results.push({face, name, fault})
}

// status is what the SDK was answered with.
async function status(call) {
  try { await call; return 200 } catch (err) { return err.statusCode ?? err.httpMeta?.response?.status ?? String(err) }
}

const expect = (want, got) => want === got ? '' : `wanted ${want}, got ${got}`

function cli(base, key, ...args) {
  return new Promise(done => {
    execFile(process.execPath, [join('node_modules', 'vercel', 'dist', 'vc.js'), ...args, '--yes', '--api', base, '--token', key, '--cwd', join(home, 'site')], {
      env: {PATH: process.env.PATH, HOME: home, VERCEL_TELEMETRY_DISABLED: '1', NO_UPDATE_NOTIFIER: '1', CI: '1', NO_COLOR: '1'}, timeout: 60_000,
    }, (err, stdout, stderr) => done({code: err ? err.code ?? 1 : 0, text: stdout + stderr}))
  })
}

const succeeds = ({code, text}) => code === 0 ? '' : `exit ${code}: ${text.trim().split('\n').at(-1)}`
const fails = pattern => ({code, text}) => code === 0 ? 'it succeeded' : pattern.test(text) ? '' : `exit ${code}, but: ${text.trim()}`

// The same calls for both faces: what works with Vercel's clients at the one
// must work at the other.
async function drive(face, base, key) {
  const sdk = new Vercel({serverURL: base, bearerToken: key})
  const stranger = new Vercel({serverURL: base, bearerToken: 'notAKeyOfAnybody0123'})
  const at = {projectIdOrName: project, teamId: 'team_clients'}
  const cache = sdk.edgeCache
  const ok = (name, call) => check(face, `sdk ${name}`, async () => expect(200, await status(call())))
  await ok('dangerouslyDeleteByTags', () => cache.dangerouslyDeleteByTags({...at, requestBody: {tags: ['sdk-delete', 'Ä'], target: 'production', revalidationDeadlineSeconds: 60}}))
  await ok('invalidateByTags', () => cache.invalidateByTags({...at, requestBody: {tags: ['sdk-invalidate']}}))
  await ok('invalidateByTags, tags as text', () => cache.invalidateByTags({...at, requestBody: {tags: 'sdk-text-1,sdk-text-2'}}))
  await ok('dangerouslyDeleteBySrcImages', () => cache.dangerouslyDeleteBySrcImages({...at, requestBody: {srcImages: ['/sdk-delete.png']}}))
  await ok('invalidateBySrcImages', () => cache.invalidateBySrcImages({...at, requestBody: {srcImages: ['/sdk-invalidate.png']}}))
  await check(face, 'sdk wrong key: 403', async () =>
    expect(403, await status(stranger.edgeCache.invalidateByTags({...at, requestBody: {tags: ['refused']}}))))
  await check(face, 'sdk 17 tags: 400', async () =>
    expect(400, await status(cache.invalidateByTags({...at, requestBody: {tags: Array.from({length: 17}, (_, i) => `refused-${i}`)}}))))
  await check(face, 'sdk 9 images: 400', async () =>
    expect(400, await status(cache.invalidateBySrcImages({...at, requestBody: {srcImages: Array.from({length: 9}, (_, i) => `/refused-${i}`)}}))))
  await check(face, 'vercel cache dangerously-delete --tag', async () => succeeds(await cli(base, key, 'cache', 'dangerously-delete', '--tag', 'cli-delete-1,cli-delete-2')))
  await check(face, 'vercel cache invalidate --tag', async () => succeeds(await cli(base, key, 'cache', 'invalidate', '--tag', 'cli-invalidate')))
  await check(face, 'vercel cache dangerously-delete --srcimg', async () => succeeds(await cli(base, key, 'cache', 'dangerously-delete', '--srcimg', '/cli-delete.png')))
  await check(face, 'vercel cache invalidate --srcimg', async () => succeeds(await cli(base, key, 'cache', 'invalidate', '--srcimg', '/cli-invalidate.png')))
  await check(face, 'vercel, wrong key', async () => fails(/token|not authorized|not valid/i)(await cli(base, 'notAKeyOfAnybody0123', 'cache', 'invalidate', '--tag', 'refused')))
}

const driven = [
  'Ä', 'sdk-delete', 'sdk-invalidate', 'sdk-text-1', 'sdk-text-2', '/sdk-delete.png', '/sdk-invalidate.png',
  'cli-delete-1', 'cli-delete-2', 'cli-invalidate', '/cli-delete.png', '/cli-invalidate.png',
]

const journal = async base => (await (await fetch(`${base}/_emulator/calls?limit=10000`)).json()).calls.filter(call => call.kind)

const applied = calls => new Set(calls.filter(call => call.applied).flatMap(call => call.items ?? []))

async function main() {
  const [redisPort, vercelPort, gatewayPort] = [await freePort(), await freePort(), await freePort()]
  const vercel = `http://127.0.0.1:${vercelPort}`
  const gateway = `http://127.0.0.1:${gatewayPort}`
  mkdirSync(join(home, 'site', '.vercel'), {recursive: true})
  writeFileSync(join(home, 'site', '.vercel', 'project.json'), JSON.stringify({projectId: project, orgId: 'team_clients'}))
  const config = join(home, 'edgepurge.yaml')
  writeFileSync(config, `
redis: {url: "redis://127.0.0.1:${redisPort}/0"}
vercel: {url: "${vercel}"}
accounts: [{name: acme, token: "env:WORKER_TOKEN", budget: {calls: 0}}]
projects: [{project: "*", linger: 1s}]
worker: {metrics: ""}
gateway:
  listen: 127.0.0.1:${gatewayPort}
  api_keys: [{name: clients, key: "env:CLIENTS_KEY", projects: [${project}]}]
`)
  const secrets = {EDGEPURGE_CONFIG: config, WORKER_TOKEN: vercelToken, CLIENTS_KEY: apiKey}
  start('redis-server', 'redis-server', ['--port', redisPort, '--bind', '127.0.0.1', '--save', '', '--dir', home])
  start('emulator', edgepurge, ['emulator', '--listen', `127.0.0.1:${vercelPort}`, '--token', vercelToken, '--calls', '0'])
  await until('the emulator', async () => (await fetch(`${vercel}/_emulator/stats`)).ok)
  await sleep(200)
  start('gateway', edgepurge, ['gateway'], secrets)
  start('worker', edgepurge, ['worker'], secrets)
  await until('the gateway', async () => (await fetch(`${gateway}/healthz`)).ok)

  await drive('emulator', vercel, vercelToken)
  await check('emulator', 'journal: what was asked for, nothing refused', async () =>
    expect(driven.toSorted().join(), [...applied(await journal(vercel))].toSorted().join()))
  await fetch(`${vercel}/_emulator/calls`, {method: 'DELETE'})

  await drive('gateway', gateway, apiKey)
  await check('gateway', 'sdk 40 calls of a tag each', async () => {
    const sdk = new Vercel({serverURL: gateway, bearerToken: apiKey})
    const calls = Array.from({length: 40}, (_, i) =>
      status(sdk.edgeCache.invalidateByTags({projectIdOrName: project, requestBody: {tags: [`burst-${i}`], target: 'preview'}})))
    return expect('200', [...new Set(await Promise.all(calls))].join())
  })
  const burst = Array.from({length: 40}, (_, i) => `burst-${i}`)
  await check('gateway', 'journal: the worker purged what was asked for', async () => {
    const want = [...driven, ...burst]
    await until('all purges at the emulator', async () => want.every(item => applied0.has(item)) || (applied0 = applied(await journal(vercel)), false)).catch(() => {})
    return expect(want.toSorted().join(), [...applied(await journal(vercel))].toSorted().join())
  })
  await check('gateway', 'journal: 40 calls became 3 to 6', async () => {
    const n = (await journal(vercel)).filter(call => call.items?.some(item => item.startsWith('burst-'))).length
    return n >= 3 && n <= 6 ? '' : `they became ${n}`
  })
  await check('gateway', 'journal: no call was refused', async () =>
    expect('200', [...new Set((await journal(vercel)).map(call => call.status))].join()))
  await check('gateway', 'curl, Go and the rest: POST /v1/purges and its receipt', async () => {
    const authorization = `Bearer ${apiKey}`
    const asked = await fetch(`${gateway}/v1/purges`, {
      method: 'POST', headers: {authorization, 'idempotency-key': 'clients-1'},
      body: JSON.stringify({project, operation: 'invalidate', tags: burst.slice(0, 20), src_images: ['/json.png']}),
    })
    if (asked.status !== 202) return expect(202, asked.status)
    await until('done', async () => (last = await (await fetch(gateway + asked.headers.get('location'), {headers: {authorization}})).json()).done)
    return expect('21 purged, 0 dead', `${last.purged} purged, ${last.dead} dead`)
  })
  await check('gateway', 'no key in any log', async () =>
    expect('', children.filter(child => child.label !== 'emulator' && (child.log.includes(apiKey) || child.log.includes(vercelToken))).map(child => child.label).join()))
}

let applied0 = new Set()
let last

let broken = ''
try { await main() } catch (err) { broken = String(err) }
for (const child of children.toReversed()) {
  child.kill('SIGTERM')
  await Promise.race([new Promise(done => child.exitCode === null ? child.once('exit', done) : done()), sleep(5000)])
  if (child.exitCode === null) child.kill('SIGKILL')
}
rmSync(home, {recursive: true, force: true})
for (const {face, name, fault} of results) console.log(`${fault ? 'FAIL' : 'ok  '}  ${face.padEnd(8)}  ${name}${fault ? ': ' + fault : ''}`)
const failed = results.filter(result => result.fault).length
console.log(`${results.length} checks, ${failed} failed`)
if (broken) console.error(`stopped early: ${broken}`)
if (broken || failed) for (const child of children) console.error(`--- ${child.label}\n${child.log.slice(-2000)}`)
process.exit(broken || failed ? 1 : 0)
