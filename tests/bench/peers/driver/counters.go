package main

import (
	"bufio"
	"io"
	"strconv"
	"strings"
)

// Counters of the API server by "VERB resource" (a subresource after a slash), as its /metrics has them.
type Counters struct {
	Requests      map[string]float64 `json:"requests"`
	Conflicts     map[string]float64 `json:"conflicts"`
	RequestBytes  map[string]float64 `json:"request_bytes"`
	ResponseBytes map[string]float64 `json:"response_bytes"`
	WatchBytes    map[string]float64 `json:"watch_bytes"` // by resource; to all watchers together
}

func newCounters() Counters {
	return Counters{
		Requests:      map[string]float64{},
		Conflicts:     map[string]float64{},
		RequestBytes:  map[string]float64{},
		ResponseBytes: map[string]float64{},
		WatchBytes:    map[string]float64{},
	}
}

// readCounters takes what it knows out of the text format of Prometheus.
func readCounters(text io.Reader) (Counters, error) {
	counters := newCounters()
	lines := bufio.NewScanner(text)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		family, labels, value, ok := parseSample(lines.Text())
		if !ok {
			continue
		}
		request := labels["verb"] + " " + resourceOf(labels)
		switch family {
		case "apiserver_request_total":
			counters.Requests[request] += value
			if labels["code"] == "409" {
				counters.Conflicts[request] += value
			}
		case "apiserver_request_body_size_bytes_sum":
			counters.RequestBytes[strings.ToUpper(labels["verb"])+" "+resourceOf(labels)] += value
		case "apiserver_response_sizes_sum":
			counters.ResponseBytes[request] += value
		case "apiserver_watch_events_sizes_sum":
			counters.WatchBytes[labels["resource"]] += value
		}
	}
	return counters, lines.Err()
}

func resourceOf(labels map[string]string) string {
	if labels["subresource"] != "" {
		return labels["resource"] + "/" + labels["subresource"]
	}
	return labels["resource"]
}

// parseSample reads `family{name="value",...} number`. Values of the API server's labels hold no quotes.
func parseSample(line string) (family string, labels map[string]string, value float64, ok bool) {
	const prefix = "apiserver_"
	if !strings.HasPrefix(line, prefix) {
		return "", nil, 0, false
	}
	family, rest, found := strings.Cut(line, "{")
	if !found {
		return "", nil, 0, false
	}
	inside, number, found := strings.Cut(rest, "} ")
	if !found {
		return "", nil, 0, false
	}
	value, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
	if err != nil {
		return "", nil, 0, false
	}
	labels = map[string]string{}
	for inside != "" {
		name, after, found := strings.Cut(inside, `="`)
		if !found {
			return "", nil, 0, false
		}
		text, after, found := strings.Cut(after, `"`)
		if !found {
			return "", nil, 0, false
		}
		labels[name] = text
		inside = strings.TrimPrefix(after, ",")
	}
	return family, labels, value, true
}

// since gives what was added after `before`; what did not change is left out.
func (c Counters) since(before Counters) Counters {
	return Counters{
		Requests:      difference(c.Requests, before.Requests),
		Conflicts:     difference(c.Conflicts, before.Conflicts),
		RequestBytes:  difference(c.RequestBytes, before.RequestBytes),
		ResponseBytes: difference(c.ResponseBytes, before.ResponseBytes),
		WatchBytes:    difference(c.WatchBytes, before.WatchBytes),
	}
}

func difference(after, before map[string]float64) map[string]float64 {
	out := map[string]float64{}
	for key, value := range after {
		if added := value - before[key]; added > 0 {
			out[key] = added
		}
	}
	return out
}
