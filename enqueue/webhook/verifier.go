package webhook

import "time"

// The kinds of verifier.
const (
	KindSignature = "signature" // a signature over a text made of the delivery
	KindToken     = "token"     // the secret itself, in a header, the query or the body
	KindBasic     = "basic"     // user and password, RFC 7617
	KindNone      = "none"      // no check but for web pages of other sites, for tests
)

// The algorithms of a signature.
const (
	HMACSHA1     = "hmac-sha1"
	HMACSHA256   = "hmac-sha256"
	HMACSHA384   = "hmac-sha384"
	HMACSHA512   = "hmac-sha512"
	Ed25519      = "ed25519"
	RSAPSSSHA256 = "rsa-pss-sha256" // with a salt of 32 bytes
)

// The encodings of keys and signatures.
const (
	EncodingText      = "text" // of a key: its characters are its bytes
	EncodingHex       = "hex"  // lower case
	EncodingBase64    = "base64"
	EncodingBase64URL = "base64url" // of a signature, without padding
	EncodingPEM       = "pem"       // of a public RSA key
)

// Units of a timestamp.
const (
	UnitSeconds      = "s"
	UnitMilliseconds = "ms"
	UnitRFC3339      = "rfc3339"
)

// DefaultTolerance is how old or far ahead a timestamp may be when neither the
// preset nor the source says so. A stale delivery is refused for good by most
// senders, and a replayed purge does little harm: rather longer than shorter.
const DefaultTolerance = 5 * time.Minute

// Verifier says how one sender proves that a delivery is its own. It is data;
// Compile checks it.
type Verifier struct {
	// Kind is one of the Kind constants.
	Kind string `yaml:"kind"`

	// Algorithm of KindSignature.
	Algorithm string `yaml:"algorithm"`
	// Key says how the secret becomes a key.
	Key Key `yaml:"key"`
	// Encoding of the signature: hex, base64 or base64url.
	Encoding string `yaml:"encoding"`
	// Signature says where signatures stand.
	Signature SignatureHeader `yaml:"signature"`
	// Timestamp, if the sender signs one.
	Timestamp *Timestamp `yaml:"timestamp"`
	// Signed is the template of the signed text: literal text and the
	// placeholders {body}, {timestamp}, {header.Name}, {param.x}, {method},
	// {uri}, {headers:List-Header}, {lb} and {rb} (braces), some with a function:
	// {body|json} is a JSON string by JavaScript's rules, {uri|contentful}
	// Contentful's spelling. What is missing fails; it is never empty text.
	Signed string `yaml:"signed"`

	// From is where a token stands: header.Name, query.name or json.a.b.
	From string `yaml:"from"`
	// Scheme is the word before a token in a header, such as Bearer; empty: none.
	Scheme string `yaml:"scheme"`

	// IKnow must be true for KindNone: whoever reaches the listener may purge.
	IKnow bool `yaml:"i_know"`
}

// Key says how a secret becomes a key.
type Key struct {
	// Encoding is text (the default), base64, hex or pem.
	Encoding string `yaml:"encoding"`
	// StripPrefix is removed from the secret if it begins so, such as whsec_.
	StripPrefix string `yaml:"strip_prefix"`
}

// SignatureHeader says how to read the header that holds signatures.
type SignatureHeader struct {
	Header string `yaml:"header"`
	// Split cuts the header into entries: "" (one entry), ",", ";" or " ".
	Split string `yaml:"split"`
	// Pair cuts each entry into label and value at its first occurrence: "" (no
	// labels), "=", "," or ":".
	Pair string `yaml:"pair"`
	// Label names the entries that are signatures; any of them may match. The
	// others are {param.…}.
	Label []string `yaml:"label"`
}

// Timestamp says where the time of sending stands.
type Timestamp struct {
	// From is header.Name, param.x (an entry of the signature's header) or json.a.b.
	From string `yaml:"from"`
	// Unit is s, ms or rfc3339.
	Unit string `yaml:"unit"`
	// Tolerance is how far from now it may be, past or future, 1s to 96h; 0 is DefaultTolerance.
	Tolerance time.Duration `yaml:"tolerance"`
}
