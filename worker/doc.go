// Package worker is the pipeline that turns purge requests into API calls:
// intake, pacer, call, judge, and what becomes of an answer. Any number of
// worker processes share one Redis without a leader.
//
// It does not take requests from producers (package enqueue does) and knows
// nothing of YAML (package configs does).
package worker
