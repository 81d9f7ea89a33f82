package webhook

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/edgepurge/edgepurge/tasks"
)

func TestVerify_Vectors(t *testing.T) {
	t.Parallel()
	for _, v := range vectors(t) {
		t.Run(v.ID, func(t *testing.T) {
			t.Parallel()
			ok, reason := compiled(t, v.source(t)).Verify(v.delivery())
			assert.Equal(t, v.Expect == "valid", ok, "%s", reason)
			assert.Equal(t, ok, reason == Verified)
		})
	}
}

// Every valid vector must fail when anything that proves it is touched.
func TestVerify_VectorsTouched(t *testing.T) {
	t.Parallel()
	for _, v := range vectors(t) {
		if v.Expect != "valid" {
			continue
		}
		h := compiled(t, v.source(t))
		refused := func(what string, d Delivery) {
			ok, _ := h.Verify(d)
			assert.False(t, ok, "%s: %s", v.ID, what)
		}
		s, isSigned := h.verifiers[0].(*signatureVerifier)
		if isSigned {
			d := v.delivery()
			d.Body = append(d.Body, '\n')
			refused("a line break after the body", d)
			d = v.delivery()
			d.Header.Add(s.header.Header, d.Header.Get(s.header.Header))
			refused("the signature's header twice", d)
			d = v.delivery()
			d.Header.Del(s.header.Header)
			refused("no signature", d)
			if s.stamp != nil {
				for _, away := range []time.Duration{s.stamp.tolerance + 2*time.Second, -s.stamp.tolerance - 2*time.Second} {
					d = v.delivery()
					d.Now = d.Now.Add(away)
					refused("now is "+away.String()+" away", d)
				}
			}
		}
		other := v.source(t)
		other.Secrets = []Secret{v.Secret}
		switch {
		case isSigned && s.algorithm == RSAPSSSHA256:
			other.Secrets = []Secret{vectorNamed(t, "contentstack-rsa/04-wrong-secret").Secret}
		case isSigned && s.algorithm == Ed25519:
			other.Secrets = []Secret{vectorNamed(t, "standard-webhooks-asymmetric/04-wrong-secret").Secret}
		case strings.HasPrefix(string(v.Secret), "whsec_M"):
			other.Secrets = []Secret{"whsec_bm90IHRoZSByaWdodCBvbmUsIG5vdCBhdCBhbGwhIQ=="}
		default:
			other.Secrets[0] += "x"
		}
		ok, reason := compiled(t, other).Verify(v.delivery())
		assert.False(t, ok, v.ID)
		assert.Equal(t, ReasonMismatch, reason, v.ID)

		// Rotation: the right secret is found behind a wrong one.
		other.Secrets = append(other.Secrets, v.Secret)
		ok, reason = compiled(t, other).Verify(v.delivery())
		assert.True(t, ok, "%s: %s", v.ID, reason)
	}
}

// sample is a payload and what becomes of it.
type sample struct {
	Preset    string            `json:"preset"`
	Headers   map[string]string `json:"headers"`
	Body      json.RawMessage   `json:"body"`
	BodyText  string            `json:"body_text"`
	Accept    bool              `json:"accept"`
	Tags      []string          `json:"tags"`
	Operation tasks.Operation   `json:"operation"`
}

func (s sample) delivery() Delivery {
	d := Delivery{Method: http.MethodPost, URL: "/hooks/blog", Header: http.Header{}, Body: s.Body}
	if s.BodyText != "" {
		d.Body = []byte(s.BodyText)
	}
	for name, value := range s.Headers {
		d.Header.Set(name, value)
	}
	return d
}

func TestPlan_Samples(t *testing.T) {
	t.Parallel()
	presets := shipped(t)
	mapped := map[string]bool{}
	for _, file := range []string{"payload_samples.json", "more_samples.json"} {
		var samples []sample
		load(t, file, &samples)
		for _, s := range samples {
			mapped[s.Preset] = true
			p := compiled(t, source(t, s.Preset)).plan(t.Context(), s.delivery())
			require.NoError(t, p.problem, "%s %s", s.Preset, s.Body)
			assert.Equal(t, s.Accept, p.accepted, "%s %s", s.Preset, s.Body)
			assert.Equal(t, s.Tags, p.tags, "%s %s", s.Preset, s.Body)
			if s.Operation != "" {
				assert.Equal(t, s.Operation, p.operation, "%s %s", s.Preset, s.Body)
			}
		}
	}
	for name := range presets {
		assert.True(t, mapped[name] || name == "svix" || name == "contentstack-certificate" || name == "standard-webhooks-asymmetric",
			"%s has a mapping of its own and no sample", name)
	}
}

func TestShipped(t *testing.T) {
	t.Parallel()
	presets := shipped(t)
	for _, name := range []string{
		"sanity", "contentful", "datocms-cache-tags", "datocms-records", "storyblok", "prismic", "strapi", "hygraph", "ghost",
		"shopify", "kontent", "contentstack", "contentstack-certificate", "woocommerce", "directus", "builder", "agility",
		"umbraco", "optimizely-graph", "github", "standard-webhooks", "svix", "stripe-like",
	} {
		assert.Contains(t, presets, name)
	}
	for name, p := range presets {
		h := compiled(t, source(t, name))
		// What was seen before must be told from what looks like it: a signature
		// without a time over a body that may repeat must not suppress a purge.
		s, signed := h.verifiers[0].(*signatureVerifier)
		if signed && s.stamp == nil && len(p.DeliveryID) == 0 {
			assert.Equal(t, SameIsEvent, p.SameContent, name)
		}
		assert.False(t, slices.ContainsFunc(p.Verify, func(v Verifier) bool { return v.Kind == KindNone }), name)
	}
}

// Bodies that no mapping was written for neither purge anything nor panic.
func TestPlan_StrangeBodies(t *testing.T) {
	t.Parallel()
	for name := range shipped(t) {
		h := compiled(t, source(t, name))
		if name == "ghost" {
			continue // a body of {} is its site.changed
		}
		for _, body := range []string{``, ` `, `null`, `1`, `"x"`, `[]`, `[[[]]]`, `{}`, `{"a":`, "\xff", `{"_id":1,"sys":[],"entity":"","action":{},"tags":{"a":1}}`, `{"event":[],"type":{},"operation":7,"state":[]}`} {
			p := h.plan(t.Context(), Delivery{Header: http.Header{}, Body: []byte(body)})
			assert.Empty(t, p.tags, "%s %s", name, body)
		}
	}
}
