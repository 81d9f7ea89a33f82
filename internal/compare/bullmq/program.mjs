// A purge program on BullMQ: a job a tag, a call a job. ../child_test.go starts
// it, in one of two roles, and asks it a line at a time; it ends with its input.
import http from 'node:http'
import {createInterface} from 'node:readline'
import {Queue, Worker} from 'bullmq'

const {role, redis, api, calls, perMillis} = JSON.parse(process.env.EDGEPURGE_COMPARE_CHILD)
const concurrency = 10
const {hostname, port} = new URL(redis)
const connection = {host: hostname, port: Number(port), maxRetriesPerRequest: null}
const queue = new Queue('purge', {connection})
const agent = new http.Agent({keepAlive: true, maxSockets: concurrency})

// A twin is dropped while the tag's job waits; while it is active, one more job follows it.
const options = tag => ({
  deduplication: {id: tag, keepLastIfActive: true},
  attempts: 25, backoff: {type: 'exponential', delay: 1000, jitter: 0.5},
  removeOnComplete: true,
})

const ask = tags => tags.length === 1
  ? queue.add('purge', {tag: tags[0]}, options(tags[0]))
  : queue.addBulk(tags.map(tag => ({name: 'purge', data: {tag}, opts: options(tag)})))

const call = tag => new Promise((done, failed) => {
  const request = http.request(api, {
    method: 'POST', agent, headers: {authorization: 'Bearer compare', 'content-type': 'application/json'},
  }, answer => answer.resume().on('end', () => done(answer)).on('error', failed))
  request.on('error', failed).end(JSON.stringify({tags: [tag]}))
})

async function work(job) {
  const answer = await call(job.data.tag)
  if (answer.statusCode === 429) {
    // As BullMQ's guide has it: nobody takes a job until then, no attempt is spent.
    await queue.rateLimit(1000 * Number(answer.headers['retry-after'] ?? 1))
    throw Worker.RateLimitError()
  }
  if (answer.statusCode !== 200) throw new Error(`status ${answer.statusCode}`)
}

if (role === 'work') {
  // 2 % longer than the API's window: at exactly the limit some calls come a hair too early.
  const limiter = calls ? {max: calls, duration: 1.02 * perMillis} : undefined
  const worker = new Worker('purge', work, {connection, concurrency, limiter})
  worker.on('error', err => console.error(err))
  await worker.waitUntilReady()
} else {
  await queue.waitUntilReady()
}

async function look() {
  const {user, system} = process.cpuUsage()
  return {cpuMicros: user + system, tasks: await queue.getJobCountByTypes('waiting', 'active', 'delayed', 'prioritized', 'paused')}
}

// The one who started it decides on its end.
process.on('SIGINT', () => {})
createInterface({input: process.stdin}).on('line', async line => {
  const {n, tags} = JSON.parse(line)
  let answer
  try { answer = tags ? (await ask(tags), {}) : await look() } catch (err) { answer = {error: String(err)} }
  process.stdout.write(JSON.stringify({n, ...answer}) + '\n')
}).on('close', () => process.exit(0))
