import subprocess
import sys


def test_every_name_of_the_package_leads_somewhere():
    from course_utils import measure

    for name in measure.__all__:
        assert getattr(measure, name) is not None


def test_compare_is_found_beside_time_call():
    from course_utils.measure import comparing, timing

    assert timing.compare is comparing.compare


def test_importing_the_package_loads_nothing_heavy():
    code = (
        "import sys; import course_utils.measure; "
        "print(*({'torch', 'psutil', 'numpy', 'tiktoken', 'mistral_common'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
