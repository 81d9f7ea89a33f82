// Package configs reads the configuration: one YAML file, the environment over
// it, secrets from variables or files, and every fault at once with its place.
// edgepurge.yaml beside this file is the commented reference.
//
// It composes what the other packages own and checks the file's form; which
// values are in range is theirs to say (worker.Config.Validate). It neither
// connects to anything nor reads the environment by itself: Load is handed it.
//
// These variables win over the file; an empty one counts as unset:
//
//	EDGEPURGE_CONFIG      the file, when Load is given no path
//	EDGEPURGE_REDIS_URL   redis.url
//	EDGEPURGE_VERCEL_URL  vercel.url
//	VERCEL_TOKEN          the token of the only account; of several, that of those which name none
//	VERCEL_TEAM_ID        the team of the only account
//	VERCEL_PROJECT_ID     Config.DefaultProject
//	EDGEPURGE_LISTEN      gateway.listen
//	EDGEPURGE_METRICS     worker.metrics
//	EDGEPURGE_LOG         Config.Log: level[,format]
//
// Several accounts and a VERCEL_TOKEN that none of them takes, or a
// VERCEL_TEAM_ID that none of them names, leave open what was meant: a worker
// refuses that (Config.RequireTokens), commands which call nothing run.
package configs
