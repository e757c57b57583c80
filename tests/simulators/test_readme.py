"""Each fault stands in the README, and each example of the README can be ordered."""

import json
import re
from typing import Any, get_args

from simulators.carrier_faults import CarrierFault, carrier_fault_plans
from simulators.faults import FaultPlans
from simulators.payment_faults import AlipayFault, WechatFault, alipay_fault_plans, wechat_fault_plans
from tests.simulators.processes import ROOT

README = (ROOT / "simulators/README.md").read_text()


def kinds_of(union: Any) -> set[str]:
    members = get_args(get_args(union)[0])
    return {get_args(member.model_fields["kind"].annotation)[0] for member in members}


def examples_of(*sections: str) -> list[dict[str, Any]]:
    text = "".join(README.split(f"### {section}\n")[1].split("\n### ")[0] for section in sections)
    return [json.loads(example) for example in re.findall(r'`(\{"kind".*?\})`', text)]


def check(plans: FaultPlans[Any], union: Any, *sections: str) -> None:
    examples = examples_of(*sections)
    plans.put("T0000001", examples)
    assert {example["kind"] for example in examples} == kinds_of(union)


def test_the_carriers_faults_are_those_of_the_readme():
    check(carrier_fault_plans(), CarrierFault, "All three", "Carrier")


def test_wechats_faults_are_those_of_the_readme():
    check(wechat_fault_plans(), WechatFault, "All three", "WeChat Pay and Alipay", "WeChat Pay")


def test_alipays_faults_are_those_of_the_readme():
    check(alipay_fault_plans(), AlipayFault, "All three", "WeChat Pay and Alipay", "Alipay")


def test_the_readmes_plans_for_many_orders_can_be_ordered():
    plans = re.findall(r"127\.0\.0\.1:9001/faults(?:/\w+)? -d '(.*)'", README)
    assert len(plans) == 3
    for plan in map(json.loads, plans):
        faults = carrier_fault_plans()
        if "kind" in plan:
            faults.put("T20230821000001", plan)
        else:
            faults.put_many(plan)
