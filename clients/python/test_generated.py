"""The generated Python client is whole: it builds a request, keeps the contract's options and has stubs.

What it says to a real gateway is tested in e2e/.
"""

import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent / "gen"))

import grpc
from buf.validate import validate_pb2
from caremesh.options.v1 import options_pb2
from caremesh.policy.v1 import plan_pb2, plan_pb2_grpc
from google.rpc import error_details_pb2


class GeneratedClient(unittest.TestCase):
    def test_a_request_survives_the_wire(self):
        request = plan_pb2.ListPlansRequest(jurisdiction_code="NG", page={"page_size": 10})
        again = plan_pb2.ListPlansRequest.FromString(request.SerializeToString())
        self.assertEqual(again.jurisdiction_code, "NG")
        self.assertEqual(again.page.page_size, 10)

    def test_policy_and_rules_come_along(self):
        service = plan_pb2.DESCRIPTOR.services_by_name["PlanService"]
        policy = service.methods_by_name["ListPlans"].GetOptions().Extensions[options_pb2.method]
        self.assertEqual(policy.exposure, options_pb2.EXPOSURE_EDGE)
        field = plan_pb2.ListPlansRequest.DESCRIPTOR.fields_by_name["jurisdiction_code"]
        self.assertTrue(field.GetOptions().Extensions[validate_pb2.field].string.pattern)

    def test_a_stub_calls_by_the_method_s_full_name(self):
        with grpc.insecure_channel("localhost:1") as channel:
            stub = plan_pb2_grpc.PlanServiceStub(channel)
            with self.assertRaises(grpc.RpcError) as refused:
                stub.ListPlans(plan_pb2.ListPlansRequest(), timeout=5)
        self.assertEqual(refused.exception.code(), grpc.StatusCode.UNAVAILABLE)

    def test_error_details_are_known(self):
        info = error_details_pb2.ErrorInfo(reason="QUOTE_EXPIRED", domain="policy.caremesh")
        self.assertEqual(info.reason, "QUOTE_EXPIRED")


if __name__ == "__main__":
    unittest.main()
