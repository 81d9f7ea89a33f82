package configs

import (
	"fmt"
	"slices"
	"strings"
)

// Level is the least severe kind of line that is logged.
type Level string

// The levels, named as zerolog names them.
const (
	LevelDebug Level = "debug"
	LevelInfo  Level = "info" // the default
	LevelWarn  Level = "warn"
	LevelError Level = "error"
)

// Format is how a log line looks.
type Format string

// The formats.
const (
	FormatAuto    Format = "auto"    // console on a terminal, else json; the default
	FormatConsole Format = "console" // for people
	FormatJSON    Format = "json"    // for programs, an object a line
)

// Log says what is logged, and how.
type Log struct {
	Level  Level
	Format Format
}

// ParseLog reads the value of EDGEPURGE_LOG, level[,format] in any letter case,
// such as "debug" or "info,json". Empty is the default. Its error says what
// would be right.
func ParseLog(s string) (Log, error) {
	log := Default().Log
	level, format, two := strings.Cut(strings.ToLower(s), ",")
	if s == "" {
		return log, nil
	}
	log.Level = Level(strings.TrimSpace(level))
	if !slices.Contains([]Level{LevelDebug, LevelInfo, LevelWarn, LevelError}, log.Level) {
		return log, fmt.Errorf("%s is not a level: use debug, info, warn or error, and then perhaps a format, such as info,json", quote(level))
	}
	if !two {
		return log, nil
	}
	log.Format = Format(strings.TrimSpace(format))
	if !slices.Contains([]Format{FormatAuto, FormatConsole, FormatJSON}, log.Format) {
		return log, fmt.Errorf("%s is not a format: use auto, console or json after the level", quote(format))
	}
	return log, nil
}
