package main

import (
	"strings"
	"testing"
	"time"
)

func TestSpread_NearestRank(t *testing.T) {
	var times []time.Duration
	for i := 200; i > 0; i-- {
		times = append(times, time.Duration(i)*time.Millisecond)
	}
	if got := spreadOf(times); got != (Spread{Count: 200, P50: 100, P90: 180, P99: 198, Max: 200}) {
		t.Errorf("got %+v", got)
	}
	if got := spreadOf(nil); got != (Spread{}) {
		t.Errorf("got %+v of nothing", got)
	}
}

const metrics = `# TYPE apiserver_request_total counter
apiserver_request_total{code="200",group="",resource="configmaps",subresource="",verb="PUT",version="v1"} 7
apiserver_request_total{code="409",group="",resource="configmaps",subresource="",verb="PUT",version="v1"} 2
apiserver_request_total{code="200",group="policy",resource="poddisruptionbudgets",subresource="status",verb="PUT"} 1e+01
apiserver_request_body_size_bytes_sum{group="",resource="configmaps",verb="update"} 512
apiserver_response_sizes_sum{group="",resource="configmaps",subresource="",verb="PUT"} 1024
apiserver_watch_events_sizes_sum{group="",resource="pods",version="v1"} 4096
apiserver_request_total{code="200 no more
etcd_requests_total{operation="get"} 3
`

func TestCounters_OfMetrics(t *testing.T) {
	got, err := readCounters(strings.NewReader(metrics))
	if err != nil {
		t.Fatal(err)
	}
	for what, pair := range map[string][2]float64{
		"requests":       {got.Requests["PUT configmaps"], 9},
		"conflicts":      {got.Conflicts["PUT configmaps"], 2},
		"subresource":    {got.Requests["PUT poddisruptionbudgets/status"], 10},
		"request bytes":  {got.RequestBytes["UPDATE configmaps"], 512},
		"response bytes": {got.ResponseBytes["PUT configmaps"], 1024},
		"watch bytes":    {got.WatchBytes["pods"], 4096},
		"kinds":          {float64(len(got.Requests)), 2},
	} {
		if pair[0] != pair[1] {
			t.Errorf("%s: got %v, wanted %v", what, pair[0], pair[1])
		}
	}
}

func TestCounters_Since_LeavesOutWhatDidNotChange(t *testing.T) {
	before, after := newCounters(), newCounters()
	before.Requests["GET pods"], after.Requests["GET pods"] = 3, 3
	before.Requests["PUT configmaps"], after.Requests["PUT configmaps"] = 3, 5
	after.Requests["POST events"] = 1
	got := after.since(before).Requests
	if len(got) != 2 || got["PUT configmaps"] != 2 || got["POST events"] != 1 {
		t.Errorf("got %v", got)
	}
}

func TestStat_NameWithSpaces_TicksOfAllThreads(t *testing.T) {
	got, err := parseStat([]byte("12 (a) b c) S 1 2 3 4 5 6 7 8 9 10 150 50 0 0 20 0 4 0 100\n"))
	if err != nil || got != 2*time.Second {
		t.Errorf("got %v, %v", got, err)
	}
	if _, err := parseStat([]byte("12 (a")); err == nil {
		t.Error("half a line was read")
	}
}

func TestLives_AdoptionAndLeaderTakeOneEach(t *testing.T) {
	rows := []Row{{Name: "a", Kind: kindRate}, {Name: "b", Kind: kindAdopt}, {Name: "c", Kind: kindNode}, {Name: "d", Kind: kindLeader}}
	got := lives(rows)
	if len(got) != 3 || len(got[0]) != 2 || got[0][1].Name != "c" || got[1][0].Name != "b" || got[2][0].Name != "d" {
		t.Errorf("got %v", got)
	}
	if len(lives(rows[1:2])) != 1 {
		t.Error("a life without rows")
	}
}

func TestPlaces_PoolsAndNodesAreEven(t *testing.T) {
	b := &bench{plan: &Plan{PodsOnNode: 250}}
	size := Size{Pods: 1000, Pools: 20}
	pools, nodes := map[string]int{}, map[string]int{}
	for number := range size.Pods {
		at := b.placeOf(size, number)
		pools[at.pool]++
		nodes[at.node]++
	}
	if len(pools) != 20 || pools["pool-7"] != 50 || len(nodes) != 4 || nodes[nodeName(0)] != 260 {
		t.Errorf("got %v, %v", pools, nodes)
	}
}
