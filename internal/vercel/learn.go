package vercel

import (
	"regexp"
	"strconv"
)

// moreThan is the sentence of a JSON schema validator (ajv) that Vercel's 400
// repeats: "`tags` should NOT have more than 16 items". Newer ajv says "must".
// It wants the word items, for characters are limited in the same words.
var moreThan = regexp.MustCompile("\\b(tags|srcImages)\\b[`'\"]? (?:should|must) NOT have more than ([0-9]{1,5}) items\\b")

// LearnMax reads from the message of a 400 how many items a call may hold.
// field is "tags" or "srcImages" and n at least 1, at most 99999; ok is false if
// the message says no such thing. n may be larger than what is known already.
func LearnMax(message string) (field string, n int, ok bool) {
	m := moreThan.FindStringSubmatch(message)
	if m == nil {
		return "", 0, false
	}
	n, err := strconv.Atoi(m[2])
	if err != nil || n < 1 {
		return "", 0, false
	}
	return m[1], n, true
}
