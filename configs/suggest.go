package configs

import "strings"

// nearest returns the known word that the unknown one was probably meant to be,
// or "". Letter case, hyphens and underscores do not count; of the rest a third
// may differ, at least one letter.
func nearest(unknown string, known []string) string {
	const longest = 40
	if len(unknown) > longest {
		return ""
	}
	best, fewest := "", max(1, len(unknown)/3)+1
	for _, k := range known {
		if d := distance(fold(unknown), fold(k)); d < fewest {
			best, fewest = k, d
		}
	}
	return best
}

func fold(s string) string {
	return strings.NewReplacer("_", "", "-", "").Replace(strings.ToLower(s))
}

// distance counts the insertions, deletions, substitutions and swaps of
// neighbours that turn a into b.
func distance(a, b string) int {
	rows := make([][]int, len(a)+1)
	for i := range rows {
		rows[i] = make([]int, len(b)+1)
		rows[i][0] = i
	}
	for j := range rows[0] {
		rows[0][j] = j
	}
	for i := 1; i <= len(a); i++ {
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			d := min(rows[i-1][j]+1, rows[i][j-1]+1, rows[i-1][j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				d = min(d, rows[i-2][j-2]+1)
			}
			rows[i][j] = d
		}
	}
	return rows[len(a)][len(b)]
}
