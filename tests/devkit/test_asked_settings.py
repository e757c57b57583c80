from devkit.stack.local import beside


def test_a_shells_setting_is_taken_unless_the_stack_has_it_in_a_variable_or_in_a_file():
    own = {"TOPUP_DATABASE_URL": "sqlite:///a", "TOPUP_CARRIER_TOKEN": "a"}
    asked = {
        "TOPUP_TRACE_RATIO": "1",
        "TOPUP_PUSH_URL_FILE": "/push",
        "TOPUP_HTTP_PORT": "80",
        "TOPUP_DATABASE_URL": "postgresql://real/topup",
        "TOPUP_CARRIER_TOKEN_FILE": "/token",
    }
    taken, refused = beside(own, asked)
    assert taken == {"TOPUP_TRACE_RATIO": "1", "TOPUP_PUSH_URL_FILE": "/push"}
    assert refused == asked.keys() - taken.keys()


def test_a_shell_that_read_the_stacks_own_settings_asks_for_nothing():
    own = {"TOPUP_DATABASE_URL": "sqlite:///a", "TOPUP_CARRIER_TOKEN": "a"}
    assert beside(own, own) == ({}, set())
