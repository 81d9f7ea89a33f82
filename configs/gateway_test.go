package configs

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/netip"
	"testing"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/edgepurge/edgepurge/enqueue/webhook"
	"github.com/edgepurge/edgepurge/internal/proxies"
	"github.com/edgepurge/edgepurge/tasks"
)

var gatewaySecrets = map[string]string{
	"SHOP_KEY": "hunter2-shop-key-01", "MONITOR_PASSWORD": "hunter2-password", "SANITY_SECRET": "hunter2-new-secret", "SANITY_SECRET_OLD": "hunter2-old-secret",
	"OWN_SECRET": "k_00112233445566778899aabbccddeeff",
}

const gatewayExample = `
gateway:
  listen: 127.0.0.1:8081
  api_keys: [{name: shop, key: "env:SHOP_KEY", projects: ["*"]}]
  proxies: [10.0.0.0/8, 127.0.0.1]
  monitor: {user: root, password: env:MONITOR_PASSWORD, read_only: true}
  sources:
    - name: blog
      preset: sanity
      secrets: ["env:SANITY_SECRET", "env:SANITY_SECRET_OLD"]
      projects: [prj_abc, prj_def]
      operation: invalidate
      target: production
      priority: bulk
      settle: 2s
      rebound: 1m
      tag_prefix: "blog:"
      allow_all: true
      enforce: false
      tolerance: 1h
      dedupe_ttl: 24h
      on_mapping_error: reject
      limits: {body: 1000, depth: 10, outputs: 7, mapping_time: 20ms}
    - name: own
      verify:
        - {kind: signature, algorithm: hmac-sha256, encoding: hex, key: {encoding: hex, strip_prefix: k_},
           signature: {header: X-Sig, split: ",", pair: "=", label: [v1, v2]}, timestamp: {from: param.t, unit: ms, tolerance: 9m}, signed: "{timestamp}{uri}{body}"}
        - {kind: token, from: header.X-Token, scheme: Bearer}
      secrets: ["env:OWN_SECRET"]
      project: prj_abc
      public_path: /x
      delivery_id: [header.X-Id]
      same_content: event
      accept: .ok
      operation: .op
      tags: .tags[]
      src_images: .images[]
`

// Every key of the section reaches its field.
func TestLoad_Gateway(t *testing.T) {
	cfg := loaded(t, gatewayExample, env(gatewaySecrets))
	require.NoError(t, cfg.RequireGateway())
	g := cfg.Gateway
	assert.Equal(t, "127.0.0.1:8081", g.Listen)
	assert.Equal(t, []APIKey{{Name: "shop", Key: "hunter2-shop-key-01", Projects: []string{"*"}}}, g.APIKeys)
	assert.Equal(t, Monitor{User: "root", Password: "hunter2-password", ReadOnly: true}, g.Monitor)
	assert.Equal(t, proxies.Trusted{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("127.0.0.1/32")}, g.Proxies)
	require.Len(t, g.Sources, 2)

	presets, err := webhook.ParsePresets("presets.yaml", Presets())
	require.NoError(t, err)
	assert.Equal(t, webhook.Source{
		Name: "blog", Preset: presets["sanity"], Override: webhook.Preset{Operation: "invalidate"},
		Secrets:   []webhook.Secret{"hunter2-new-secret", "hunter2-old-secret"},
		Tolerance: time.Hour, LogOnly: true,
		Projects: []string{"prj_abc", "prj_def"}, Target: tasks.Production, Priority: tasks.Bulk,
		Settle: 2 * time.Second, Rebound: time.Minute, TagPrefix: "blog:", AllowAll: true,
		DedupeTTL: 24 * time.Hour, OnMappingError: webhook.Reject,
		Limits: webhook.Limits{Body: 1000, Depth: 10, Outputs: 7, MappingTime: 20 * time.Millisecond},
	}, g.Sources[0])
	assert.Equal(t, webhook.Source{
		Name: "own", Secrets: []webhook.Secret{"k_00112233445566778899aabbccddeeff"}, Projects: []string{"prj_abc"}, PublicPath: "/x",
		Override: webhook.Preset{
			Verify: []webhook.Verifier{{
				Kind: "signature", Algorithm: "hmac-sha256", Encoding: "hex", Key: webhook.Key{Encoding: "hex", StripPrefix: "k_"},
				Signature: webhook.SignatureHeader{Header: "X-Sig", Split: ",", Pair: "=", Label: []string{"v1", "v2"}},
				Timestamp: &webhook.Timestamp{From: "param.t", Unit: "ms", Tolerance: 9 * time.Minute}, Signed: "{timestamp}{uri}{body}",
			}, {Kind: "token", From: "header.X-Token", Scheme: "Bearer"}},
			DeliveryID: []string{"header.X-Id"}, SameContent: "event",
			Accept: ".ok", Operation: ".op", Tags: ".tags[]", SrcImages: ".images[]",
		},
	}, g.Sources[1])
}

// A worker with the gateway's file and none of its secrets runs; a gateway does not.
func TestRequireGateway(t *testing.T) {
	cfg := loaded(t, gatewayExample, noEnv)
	err := cfg.RequireGateway()
	for _, name := range []string{"SHOP_KEY", "MONITOR_PASSWORD", "SANITY_SECRET", "SANITY_SECRET_OLD"} {
		assert.ErrorContains(t, err, "the variable "+name+" is not set")
	}
	assert.ErrorContains(t, err, ":4:32: gateway.api_keys[0].key: ")

	cfg = loaded(t, gatewayExample, env(map[string]string{"SANITY_SECRET": "not hexadecimal"}))
	_, err = cfg.Source("blog")
	require.ErrorContains(t, err, "SANITY_SECRET_OLD is not set")
	assert.NotContains(t, err.Error(), "SHOP_KEY", "what does not concern the source")
}

// A password that can be guessed at five attempts a minute is refused, unseen.
func TestRequireGateway_ShortPassword(t *testing.T) {
	const file = "gateway: {monitor: {password: \"env:P\"}}"
	err := loaded(t, file, env(map[string]string{"P": "hunter2-pass"})).RequireGateway()
	require.NoError(t, err)
	err = loaded(t, file, env(map[string]string{"P": "hunter2-pas"})).RequireGateway()
	require.ErrorContains(t, err, "gateway.monitor.password: is shorter than 12 characters")
	assert.NotContains(t, err.Error(), "hunter2")
}

// A secret of a webhook that can be guessed is refused, unless the source says that
// it must be so.
func TestRequireGateway_ShortSecrets(t *testing.T) {
	short := env(map[string]string{"S": "hunter2-123456a", "B": "administrator:hunter2-1"})
	const file = `gateway: {sources: [{name: a, preset: sanity, secrets: ["env:S"], project: p%s}, {name: b, preset: datocms-cache-tags, secrets: ["env:B"], project: p%s}]}`
	err := loaded(t, fmt.Sprintf(file, "", ""), short).RequireGateway()
	require.ErrorContains(t, err, "gateway.sources[0].secrets[0]: is shorter than 16 characters")
	require.ErrorContains(t, err, "gateway.sources[1].secrets[0]: has a password shorter than 16 characters")
	assert.NotContains(t, err.Error(), "hunter2")
	const yes = ", short_secrets: true"
	require.NoError(t, loaded(t, fmt.Sprintf(file, yes, yes), short).RequireGateway())
	long := env(map[string]string{"S": "hunter2-123456ab", "B": "admin:hunter2-123456ab"})
	require.NoError(t, loaded(t, fmt.Sprintf(file, "", ""), long).RequireGateway())
}

func TestLoad_Proxies(t *testing.T) {
	_, err := Load(written(t, `gateway: {proxies: [nginx, 10.0.0.1/8, 10.0.0.0/33, 10.1.2.3, "::ffff:10.0.0.0/104"]}`), noEnv)
	require.ErrorContains(t, err, `gateway.proxies[0]: "nginx" is no address or network: write one such as 10.0.0.7 or 10.0.0.0/8`)
	require.ErrorContains(t, err, `gateway.proxies[1]: "10.0.0.1/8" has bits beyond its mask: write 10.0.0.0/8 for the network`)
	require.ErrorContains(t, err, "gateway.proxies[2]: ")
	assert.NotContains(t, err.Error(), "proxies[3]")
	require.ErrorContains(t, err, `gateway.proxies[4]: "::ffff:10.0.0.0/104" is IPv4 written as IPv6`)
}

func TestConfig_Source(t *testing.T) {
	cfg := loaded(t, gatewayExample, env(gatewaySecrets))
	s, err := cfg.Source("own")
	require.NoError(t, err)
	assert.Equal(t, "own", s.Name)
	_, err = cfg.Source("blgo")
	require.EqualError(t, err, `no source has the name "blgo": did you mean blog?`)
	_, err = cfg.Source("something else")
	require.EqualError(t, err, `no source has the name "something else": there is blog, own`)
	_, err = Default().Source("blog")
	require.ErrorContains(t, err, "has no gateway.sources")
}

func TestGateway_Hooks(t *testing.T) {
	hooks, err := loaded(t, "gateway: {sources: [{name: a, preset: sanity, secrets: [\"env:SANITY_SECRET\"], project: p}]}", env(gatewaySecrets)).Gateway.Hooks()
	require.NoError(t, err)
	require.Len(t, hooks, 1)
	assert.Equal(t, "a", hooks[0].Name())
	_, err = Gateway{Sources: []webhook.Source{{Name: "a"}}}.Hooks()
	require.ErrorContains(t, err, "gateway.sources[0]: ")
}

func TestGateway_Empty(t *testing.T) {
	assert.True(t, Default().Gateway.Empty())
	assert.False(t, Gateway{Sources: make([]webhook.Source, 1)}.Empty())
	assert.False(t, Gateway{APIKeys: make([]APIKey, 1)}.Empty())
	assert.False(t, Gateway{Monitor: Monitor{Password: "x"}}.Empty())
}

func TestEnvironment_Listen(t *testing.T) {
	vars := env(map[string]string{"EDGEPURGE_LISTEN": ":9999"})
	assert.Equal(t, ":9999", loaded(t, "gateway: {listen: 127.0.0.1:1}", vars).Gateway.Listen)
	assert.Equal(t, ":9999", loaded(t, "", vars).Gateway.Listen)
	_, err := Load("", env(map[string]string{"EDGEPURGE_LISTEN": "9999"}))
	require.EqualError(t, err, `EDGEPURGE_LISTEN: "9999" is not an address: write host:port, such as 127.0.0.1:8080`)
}

// A worker's file that lists no "*" says which projects a source may name.
func TestLoad_GatewayCoverage(t *testing.T) {
	const file = "projects: [{project: prj_abc}]\ngateway: {sources: [{name: a, preset: sanity, secrets: [\"env:S\"], projects: [prj_abc, prj_def]}]}"
	_, err := Load(written(t, file), noEnv)
	require.ErrorContains(t, err, `gateway.sources[0].projects[1]: "prj_def" has no entry under projects`)
	assert.NotContains(t, err.Error(), "projects[0]")
}

func TestGateway_NeverShowsSecrets(t *testing.T) {
	cfg := loaded(t, gatewayExample, env(gatewaySecrets))
	shown := map[string]string{}
	for name, v := range map[string]any{
		"config": cfg, "pointer": &cfg, "redacted": cfg.Redacted().Gateway, "gateway": cfg.Gateway, "keys": cfg.Gateway.APIKeys,
		"monitor": cfg.Gateway.Monitor, "sources": cfg.Gateway.Sources,
	} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
			shown[name+" "+verb] = fmt.Sprintf(verb, v)
		}
		data, err := json.Marshal(v)
		require.NoError(t, err)
		shown[name+" JSON"] = string(data)
		data, err = yaml.Marshal(v)
		require.NoError(t, err)
		shown[name+" YAML"] = string(data)
		var text bytes.Buffer
		slog.New(slog.NewTextHandler(&text, nil)).Info("x", "v", v)
		shown[name+" slog"] = text.String()
	}
	for how, s := range shown {
		assert.NotContains(t, s, "hunter2", how)
		assert.NotContains(t, s, "00112233445566778899aabbccddeeff", how)
		assert.NotContains(t, s, fmt.Sprintf("%x", "hunter2"), how)
	}
}
