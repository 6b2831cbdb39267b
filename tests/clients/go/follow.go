// github.com/donovanhide/eventsource, as Debian packages it.
package main

import (
	"encoding/json"
	"os"
	"strings"

	"github.com/donovanhide/eventsource"
)

var out = json.NewEncoder(os.Stdout)

func stop(why string) {
	out.Encode(map[string]string{"stopped": why})
	os.Exit(0)
}

func main() {
	url, stays := os.Args[1], len(os.Args) > 2
	stream, err := eventsource.Subscribe(url, "")
	if err != nil {
		panic(err)
	}
	for {
		select {
		case event := <-stream.Events:
			if event.Event() != "ade.event" {
				continue
			}
			out.Encode(map[string]string{"id": event.Id(), "data": event.Data()})
			if !stays && strings.HasPrefix(event.Data(), `{"type":"run.completed"`) {
				stop("closed")
			}
		case err := <-stream.Errors:
			// It reconnects for ever; 204 is an error to it.
			if strings.Contains(err.Error(), "204") {
				stop("gave up")
			}
		}
	}
}
