"""What the end-to-end cases stand on. Standard library and kubectl only.

    case      the base class of a case: a namespace of its own, steps and figures in the output, a dump on failure
    kube      kubectl, bound to a namespace; wait_for
    watch     a watch over plain HTTP with the time of each event, to measure on one clock
    load      requests as clients send them: a numbered stream, parallel clients, each answer checked to its end
    reach     an address for a pod or a Service, on the tests' own cluster or on a user's
    operator  the operator that is installed: its pods, leader, log and metrics
    cluster   the control plane, where it is the tests' own: stop and start a component, etcd, the audit log
    drain     a disruption of a pool under long generations: which requests failed, which pods went, and when
    gateway   HAProxy in front of a pool, as examples/gateway has it
    gateways  every kind of gateway as a process beside the cluster, as its example has it, fed or not
    fed       the base of a case with all of them, fed, in front of one pool of hollow pods
    hollow    a node without a kubelet, and pods of it: what is said of them is the test's to say
    llmd      Envoy and llm-d's endpoint picker in front of a pool, as examples/llm-d/stack has them
    external_metrics    what autoscalers read, as the case says
    prometheus    a real one over the operator, with our alerts
    processes the processes of a pod's containers
    dump      what is kept of a case that failed
"""
