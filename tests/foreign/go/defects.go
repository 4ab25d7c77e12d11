package main

import (
	"math/rand"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/gorilla/websocket"
)

const defects = "catches-up, drops-when-full, wrong-layout, utc-text, takes-bad-text, trims-echoes, ends-with-1000, rounds-up"

func layout() string {
	if *defect == "wrong-layout" {
		// The reference time of Go is 2006-01-02 15:04:05.
		return "2006-01-02 15:05:04"
	}
	return "2006-01-02 15:04:05"
}

// The library does not look whether a text is UTF-8: that is left to the app.
func isText(message []byte) bool {
	return *defect == "takes-bad-text" || utf8.Valid(message)
}

func reply(text string) string {
	if *defect == "trims-echoes" {
		text = strings.TrimSpace(text)
	}
	return "Server received: " + text
}

func tooSlow(client *client) {
	if *defect != "drops-when-full" {
		client.socket.UnderlyingConn().Close()
	}
}

func endCode() int {
	if *defect == "ends-with-1000" {
		return websocket.CloseNormalClosure
	}
	return websocket.CloseGoingAway
}

func (room *room) fire(due time.Time, step time.Duration) {
	if *manner == "late" {
		time.Sleep(time.Duration(rand.Float64() * 0.25 * float64(step)))
	}
	instant := time.Now().Add(-time.Since(due))
	if *defect == "rounds-up" {
		instant = instant.Add(1500 * time.Millisecond)
	}
	if *defect == "utc-text" {
		instant = instant.UTC()
	}
	room.walk(text(instant))
}
