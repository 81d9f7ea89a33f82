package webhook

import (
	"slices"
	"time"

	"github.com/edgepurge/edgepurge/tasks"
)

// Bounds and defaults of a source.
const (
	DefaultDedupeTTL = 96 * time.Hour // longer than any known sender's last retry
	MaxTolerance     = 96 * time.Hour
	MaxDedupeTTL     = 30 * 24 * time.Hour

	DefaultBodyBytes   = 1 << 20
	MaxBodyBytes       = 25 << 20 // the largest that a known sender (GitHub) sends
	DefaultDepth       = 100
	DefaultOutputs     = 5000
	DefaultMappingTime = 50 * time.Millisecond
)

// Values of Source.OnMappingError.
const (
	// DeadLetter answers 200, purges what could be mapped and keeps the delivery
	// where people see it: most senders give up on a hook that refuses.
	DeadLetter = "dead_letter"
	// Reject answers 422 and keeps nothing, for senders that show it to their people.
	Reject = "reject"
)

// EncodeNext is a value of Source.Encode.
const EncodeNext = "next"

// Source is one webhook: a preset, what differs from it, secrets, and what to
// purge. Compile checks it.
type Source struct {
	// Name is the last part of the path, and stands in metrics and Redis keys:
	// letters, digits, '.', '_', '-', at most 64.
	Name string
	// Preset is the sender's; its zero value leaves all to the fields below.
	Preset Preset
	// Override holds what differs from the preset; its empty fields change nothing.
	Override Preset

	// Secrets are tried one after the other, so that one may be replaced by
	// another without a gap. For algorithms with key pairs: public keys.
	Secrets []Secret
	// Tolerance, if set, replaces that of the timestamps, 1s to MaxTolerance.
	Tolerance time.Duration
	// PublicPath is the path that the sender signed, when a proxy changes it.
	PublicPath string
	// ShortSecrets lets secrets pass that could be guessed; who reads the
	// configuration checks their length, Compile does not.
	ShortSecrets bool
	// LogOnly lets deliveries pass that fail verification: they are counted as
	// Unverified and handled. For a roll-out; it is "enforce: false" in the file.
	LogOnly bool

	// Projects are purged, each with a request of its own. At least one.
	Projects []string
	// Target is the environment whose tags are purged; empty: all.
	Target tasks.Target
	// Priority of the requests; empty is tasks.Normal.
	Priority tasks.Priority
	// Settle is how long the sender's API may still serve old content.
	Settle time.Duration
	// Rebound asks for a second purge that much later; 0: none.
	Rebound time.Duration
	// TagPrefix is put before every tag, such as "blog:".
	TagPrefix string
	// Encode is how tags are written: as the mapping yields them (empty), or as
	// Next.js does (EncodeNext; see tasks.EncodeNext).
	Encode string
	// AllowAll lets the mapping say "*", which purges the whole project.
	AllowAll bool

	// DedupeTTL is how long a delivery is remembered; 0 is DefaultDedupeTTL.
	DedupeTTL time.Duration
	// OnMappingError is DeadLetter (the default) or Reject.
	OnMappingError string
	// Limits bound what one delivery may cost; zero fields are the defaults.
	Limits Limits
}

// Limits bound what one delivery may cost.
type Limits struct {
	// Body is how many bytes a body may have, up to MaxBodyBytes. Default DefaultBodyBytes.
	Body int64
	// Depth is how deep JSON may be nested, up to 1000. Default DefaultDepth.
	Depth int
	// Outputs is how many items an expression may yield, up to 100,000. Default DefaultOutputs.
	Outputs int
	// MappingTime is how long the expressions may run together, up to 500ms. Default DefaultMappingTime.
	MappingTime time.Duration
}

func (l Limits) complete() Limits {
	if l.Body == 0 {
		l.Body = DefaultBodyBytes
	}
	if l.Depth == 0 {
		l.Depth = DefaultDepth
	}
	if l.Outputs == 0 {
		l.Outputs = DefaultOutputs
	}
	if l.MappingTime == 0 {
		l.MappingTime = DefaultMappingTime
	}
	return l
}

func (l Limits) check(f *faults) {
	if l.Body < 1 || l.Body > MaxBodyBytes {
		f.add("limits.body", "%d is out of range: use 1 to %d bytes", l.Body, MaxBodyBytes)
	}
	if l.Depth < 1 || l.Depth > 1000 {
		f.add("limits.depth", "%d is out of range: use 1 to 1000", l.Depth)
	}
	if l.Outputs < 1 || l.Outputs > 100_000 {
		f.add("limits.outputs", "%d is out of range: use 1 to 100000", l.Outputs)
	}
	if l.MappingTime < time.Millisecond || l.MappingTime > 500*time.Millisecond {
		f.add("limits.mapping_time", "%s is out of range: use 1ms to 500ms", l.MappingTime)
	}
}

// UsesBasic reports whether a delivery may prove itself by user and password.
func (s Source) UsesBasic() bool {
	return slices.ContainsFunc(s.Override.over(s.Preset).Verify, func(v Verifier) bool { return v.Kind == KindBasic })
}
