package main

import (
	"encoding/json"
	"time"

	"github.com/rs/zerolog"

	"github.com/edgepurge/edgepurge/configs"
	"github.com/edgepurge/edgepurge/tasks"
)

// devLogger is the worker's log: its calls become lines of the printer, unless
// the emulator's journal has them with their items; of the rest warnings are
// shown, and everything at level debug.
func (a *app) devLogger(l configs.Log, s *devStage) zerolog.Logger {
	shown := l
	if l.Level == configs.LevelInfo {
		shown.Level = configs.LevelWarn
	}
	level := zerolog.InfoLevel // of the calls
	if l.Level == configs.LevelDebug {
		level = zerolog.DebugLevel
	}
	return zerolog.New(&devLog{rest: a.logger(shown), printer: s.calls, calls: s.emulator == nil}).Level(level)
}

// devLog picks the calls out of a worker's log.
type devLog struct {
	rest    zerolog.Logger
	printer *callPrinter
	calls   bool
}

var _ zerolog.LevelWriter = (*devLog)(nil)

// devLine is what is read of a line of the log.
type devLine struct {
	Message string `json:"message"`
	Lane    string `json:"lane"`
	Items   int    `json:"items"`
	Status  int    `json:"status"`
}

// Write takes a line without a level.
func (d *devLog) Write(line []byte) (int, error) { return d.WriteLevel(zerolog.NoLevel, line) }

// WriteLevel takes a line.
func (d *devLog) WriteLevel(level zerolog.Level, line []byte) (int, error) {
	var l devLine
	if err := json.Unmarshal(line, &l); err != nil || l.Message != "call" {
		d.pass(level, line, l.Message)
		return len(line), nil
	}
	if lane, err := tasks.ParseLane(l.Lane); d.calls && err == nil {
		d.printer.mu.Lock()
		defer d.printer.mu.Unlock()
		d.printer.line(time.Now(), l.Status, lane.Project, lane, count(l.Items, "item"))
	}
	return len(line), nil
}

// pass hands a line on with its fields.
func (d *devLog) pass(level zerolog.Level, line []byte, message string) {
	var fields map[string]any
	if err := json.Unmarshal(line, &fields); err != nil {
		return
	}
	delete(fields, zerolog.MessageFieldName)
	delete(fields, zerolog.LevelFieldName)
	d.rest.WithLevel(level).Fields(fields).Msg(message)
}
