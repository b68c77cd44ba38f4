"""The engine over etcd: when one machine is not enough."""

from kv.engine.etcd.engine import EtcdEngine

__all__ = ["EtcdEngine"]
