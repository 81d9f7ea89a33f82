package monitor

import (
	"fmt"
	"html/template"
	"strconv"
	"time"
)

// functions are those of the templates.
var functions = template.FuncMap{"number": number, "count": count}

// number writes a number with separated thousands.
func number(n int64) string {
	s := strconv.FormatInt(n, 10)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// count is a number of things: "1 item", "1,200 items".
func count(n int64, thing string) string {
	switch {
	case n == 1:
		return "1 " + thing
	case len(thing) > 1 && thing[len(thing)-1] == 's':
		return number(n) + " " + thing + "es"
	}
	return number(n) + " " + thing + "s"
}

// brief is a duration in its largest unit, as a glance needs it.
func brief(d time.Duration) string {
	switch {
	case d < 0:
		return "0 s"
	case d < time.Second:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	case d < time.Minute:
		return fmt.Sprintf("%d s", int(d.Seconds()))
	case d < 10*time.Minute && d%time.Minute >= time.Second:
		return fmt.Sprintf("%d m %d s", int(d.Minutes()), int(d.Seconds())%60)
	case d < time.Hour:
		return fmt.Sprintf("%d m", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h %d m", int(d.Hours()), int(d.Minutes())%60)
	}
	return fmt.Sprintf("%d days", int(d.Hours())/24)
}

// when is a time as seen from now.
func when(t, now time.Time) string {
	d := t.Sub(now)
	switch {
	case t.IsZero():
		return "–"
	case d >= time.Second:
		return "in " + brief(d)
	case d <= -time.Second:
		return brief(-d) + " ago"
	}
	return "now"
}
