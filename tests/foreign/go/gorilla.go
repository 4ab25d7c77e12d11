// A push server on gorilla/websocket: two goroutines for each connection.
package main

import (
	"context"
	"flag"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/gorilla/websocket"
)

const largest = 64 * 1024

// Messages that wait for one client. Echoes wait until there is space; a push that finds none ends the client.
const echoesWaiting, pushesWaiting = 16, 4

var (
	period = flag.Float64("period", 300, "seconds")
	defect = flag.String("defect", "none", "a single mistake: "+defects)
	manner = flag.String("manner", "plain", "plain, late")
)

type client struct {
	socket     *websocket.Conn
	subscribed bool // guarded by the room's lock
	echoes     chan string
	pushes     chan string
	end        chan int
	closed     chan struct{} // the Close has been sent
	gone       chan struct{} // the reader has ended
}

type room struct {
	lock    sync.Mutex
	clients map[*client]bool
	leaving sync.WaitGroup
}

func (room *room) join(socket *websocket.Conn) *client {
	client := &client{
		socket: socket, subscribed: true, echoes: make(chan string, echoesWaiting), pushes: make(chan string, pushesWaiting),
		end: make(chan int, 1), closed: make(chan struct{}), gone: make(chan struct{}),
	}
	socket.SetCloseHandler(client.answerClose)
	room.lock.Lock()
	defer room.lock.Unlock()
	room.clients[client] = true
	room.leaving.Add(1)
	return client
}

func (room *room) leave(client *client) {
	room.lock.Lock()
	defer room.lock.Unlock()
	delete(room.clients, client)
	close(client.gone)
	room.leaving.Done()
}

func (room *room) read(client *client) {
	defer room.leave(client)
	for {
		kind, message, err := client.socket.ReadMessage()
		if err != nil {
			return
		}
		if kind != websocket.TextMessage {
			continue
		}
		switch text := string(message); text {
		case "subscribe", "unsubscribe":
			room.lock.Lock()
			client.subscribed = text == "subscribe"
			room.lock.Unlock()
		default:
			if !isText(message) {
				client.close(websocket.CloseInvalidFramePayloadData)
				return
			}
			client.echoes <- reply(text)
		}
	}
}

// Once the reader has ended, it is the writer's turn to send what waits, and then to close the socket.
func (client *client) write() {
	defer client.socket.Close()
	send := func(text string) bool {
		return client.socket.WriteMessage(websocket.TextMessage, []byte(text)) == nil
	}
	isSound := true
	for isSound {
		select {
		case text := <-client.echoes:
			isSound = send(text)
		case text := <-client.pushes:
			isSound = send(text)
		case code := <-client.end:
			for len(client.echoes)+len(client.pushes) > 0 && isSound {
				select {
				case text := <-client.echoes:
					isSound = send(text)
				case text := <-client.pushes:
					isSound = send(text)
				}
			}
			client.close(code)
			close(client.closed)
			select {
			case <-client.gone:
			case <-time.After(time.Second):
			}
			isSound = false
		case <-client.gone:
			isSound = false
		}
	}
	client.socket.Close()
	// The reader may wait for space in the queue of the echoes.
	for {
		select {
		case <-client.echoes:
		case <-client.gone:
			return
		}
	}
}

// The answer to a Close stands behind the echoes that wait. By itself the library would send it at once.
func (client *client) answerClose(code int, _ string) error {
	select {
	case client.end <- code:
	default:
	}
	select {
	case <-client.closed:
	case <-time.After(time.Second):
	}
	return nil
}

func (client *client) close(code int) {
	message := websocket.FormatCloseMessage(code, "")
	client.socket.WriteControl(websocket.CloseMessage, message, time.Now().Add(time.Second))
}

func (room *room) walk(text string) {
	room.lock.Lock()
	defer room.lock.Unlock()
	for client := range room.clients {
		if !client.subscribed {
			continue
		}
		select {
		case client.pushes <- text:
		default:
			// The writer is stuck with an older message, so a Close would be stuck too.
			tooSlow(client)
		}
	}
}

func text(instant time.Time) string {
	return "Server push message at " + instant.Format(layout())
}

// One grid for all clients. A cycle that is more than a third of a period late is skipped.
func (room *room) schedule(context context.Context) {
	start, step := time.Now(), time.Duration(*period*float64(time.Second))
	for cycle := 1; ; cycle++ {
		due := start.Add(time.Duration(cycle) * step)
		select {
		case <-context.Done():
			return
		case <-time.After(time.Until(due)):
		}
		if time.Since(due) <= step/3 || *defect == "catches-up" {
			room.fire(due, step)
		}
	}
}

func main() {
	flag.CommandLine.Parse(os.Args[2:])
	port, _ := strconv.Atoi(os.Args[1])
	log.SetOutput(os.NewFile(0, os.DevNull))
	room := &room{clients: map[*client]bool{}}
	upgrader := websocket.Upgrader{CheckOrigin: func(*http.Request) bool { return true }}
	http.HandleFunc("/ws", func(response http.ResponseWriter, request *http.Request) {
		socket, err := upgrader.Upgrade(response, request, nil)
		if err != nil {
			return
		}
		socket.SetReadLimit(largest)
		client := room.join(socket)
		go client.write()
		room.read(client)
	})
	listener, err := net.Listen("tcp", "127.0.0.1:"+strconv.Itoa(port))
	if err != nil {
		os.Exit(1)
	}
	server := &http.Server{}
	go server.Serve(listener)
	told, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	go room.schedule(told)
	<-told.Done()
	listener.Close()
	room.drain()
}

func (room *room) drain() {
	room.lock.Lock()
	for client := range room.clients {
		select {
		case client.end <- endCode():
		default:
		}
	}
	room.lock.Unlock()
	done := make(chan struct{})
	go func() {
		room.leaving.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-time.After(1500 * time.Millisecond):
	}
}
