# `make help` lists what there is; the text is the comment after each target.
GO       ?= go
FUZZTIME ?= 30s
COUNT    ?= 3
BENCH    ?= .
STORM    ?= 3m
SEED     ?= 0
REFUSED  ?= 75s
SOAK     ?= 5m
LETTERS  ?= 5000

TOOL := $(GO) tool -modfile=.ci/tools.mod

.DEFAULT_GOAL := help

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-15s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: build
build: ## build bin/edgepurge, static
	CGO_ENABLED=0 $(GO) build -trimpath -o bin/edgepurge ./cmd/edgepurge

.PHONY: test
test: ## run the tests; those that need redis-server are skipped without one
	$(GO) test ./...

.PHONY: race
race: ## run the tests as CI does: race detector, shuffled, redis-server required
	EDGEPURGE_TEST_REDIS=require $(GO) test -race -shuffle=on ./...

.PHONY: lint
lint: ## run golangci-lint; the first run builds it, in about three minutes
	$(TOOL) golangci-lint run ./...

.PHONY: vulnerabilities
vulnerabilities: ## look for known vulnerabilities in what the program calls; asks vuln.go.dev
	$(TOOL) govulncheck ./...

.PHONY: fuzz
fuzz: ## run every fuzz target, each for FUZZTIME (30s)
	.ci/fuzz $(FUZZTIME)

.PHONY: bench
bench: ## run the benchmarks of BENCH (.) at full size COUNT (3) times, about 8 minutes each, and sum them up
	EDGEPURGE_BENCH=full EDGEPURGE_TEST_REDIS=require $(GO) test -run '^$$' -bench '$(BENCH)' -benchtime=1x -count=$(COUNT) -timeout=0 ./internal/bench >bench.out || { cat bench.out; exit 1; }
	$(TOOL) benchstat bench.out

.PHONY: flood
flood: ## unproved bodies against every preset that proves by its body
	EDGEPURGE_FLOOD=full EDGEPURGE_TEST_REDIS=require $(GO) test ./cmd/edgepurge -run TestGateway_Flood -count=1 -v

.PHONY: stop
stop: ## stop processes whose Redis hangs while a call is in hand, half a minute
	EDGEPURGE_STOP=full EDGEPURGE_TEST_REDIS=require $(GO) test ./cmd/edgepurge -run TestSigterm_WhileRedisHangs -count=1 -v

.PHONY: bench-gateway
bench-gateway: ## send 1,000 signed deliveries a second to a gateway, then as many as it takes beside a bare handler, a minute
	EDGEPURGE_BENCH=full EDGEPURGE_TEST_REDIS=require $(GO) test -run '^$$' -bench '^BenchmarkGateway$$' -benchtime=1x -timeout=5m ./cmd/edgepurge

.PHONY: compare
compare: ## put edgepurge beside asynq's own ways and BullMQ, ten minutes; needs redis-server, BullMQ also npm
	internal/compare/run

.PHONY: chaos
chaos: ## let workers, Redis and the API fail for STORM (3m) under load; SEED=n replays a run
	EDGEPURGE_TEST_REDIS=require $(GO) test ./internal/chaos -run '^TestChaos$$' -v -count=1 -timeout 30m \
		-chaos.duration $(STORM) -chaos.seed $(SEED) -chaos.rate 650 -chaos.hurry=false -chaos.lanes 10000

.PHONY: letters
letters: ## send LETTERS (5000) unmappable deliveries of 1 MB to a gateway, and store as many of an older one: 6 GB of memory
	EDGEPURGE_TEST_REDIS=require $(GO) test ./internal/chaos -run '^TestLargeLetters$$' -v -count=1 -timeout 30m -chaos.letters $(LETTERS)

.PHONY: soak
soak: ## run a worker for SOAK (5m) under steady load and mild faults; nothing may grow
	EDGEPURGE_TEST_REDIS=require $(GO) test ./internal/chaos -run '^TestSoak$$' -v -count=1 -timeout 0 \
		-chaos.soak $(SOAK) -chaos.rate 100

.PHONY: token
token: ## refuse the token for REFUSED (75s) amid 10,000 tags; the hold's probes take their time
	EDGEPURGE_TEST_REDIS=require $(GO) test ./internal/chaos -run '^TestTokenRefused' -v -count=1 -timeout 30m \
		-chaos.hurry=false -chaos.refused $(REFUSED)

.PHONY: demo
demo: ## play a CMS burst through the real path, without Redis, token or network
	$(GO) run ./cmd/edgepurge demo

.PHONY: dev
dev: ## leave gateway, worker, emulated Vercel and embedded Redis running
	$(GO) run ./cmd/edgepurge dev

.PHONY: clients
clients: ## drive Vercel's own clients against gateway and emulator; needs npm and redis-server
	internal/clients/run

.PHONY: clean
clean: ## remove what was built and measured
	rm -rf bin dist edgepurge bench.out internal/clients/.modules internal/compare/bullmq/.modules
	find . -name '*.test' -o -name '*.prof' | xargs rm -f

.PHONY: ci
ci: ## run everything that must hold before a change lands
	.ci/run
